# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#
# What a provider is built with. It comes from rdma-core's source archive as its project has
# released it, without Debian's patches, which some mirrors lack. A provider and libibverbs fit if
# both have the same version of rdma-core's private ABI (PABI), which is part of the provider's file
# name. This file sets
#
#   provider_suffix    the end of that name, "-rdmavN.so"
#   PHYR_PROVIDER_DIR  where libibverbs looks for providers
#   rdma_core          a directory with rdma-core's source, headers and small libraries

# The file of the installed libibverbs has the names by which it looks for providers. An upgrade of
# libibverbs changes the name of that file (libibverbs.so.1.LEVEL.VERSION). CMake depends on the
# file, and runs again if it is missing, so all this is found out anew. The dates of files from
# packages would not show an upgrade. pkg_check_modules() keeps its results in the cache, so we ask
# for the version here.
list(GET IBVERBS_LINK_LIBRARIES 0 libibverbs)
file(REAL_PATH ${libibverbs} libibverbs)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${libibverbs})
execute_process(COMMAND ${PKG_CONFIG_EXECUTABLE} --modversion libibverbs
  OUTPUT_VARIABLE ibverbs_version OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
file(STRINGS ${libibverbs} names REGEX "lib%s-rdmav[0-9]+\\.so$")
string(REGEX MATCH "-rdmav([0-9]+)\\.so" provider_suffix "${names}")
if(NOT provider_suffix)
  message(FATAL_ERROR "${libibverbs} names no providers, so we do not know the name that ours must "
    "have: please report this with the version of rdma-core (${ibverbs_version}), and build "
    "with -DPHYR_PROVIDER=OFF")
endif()
set(installed_pabi ${CMAKE_MATCH_1})
if(names MATCHES "(/[^;]*)/lib%s-rdmav")
  set(provider_dir ${CMAKE_MATCH_1})
else()
  set(provider_dir ${CMAKE_INSTALL_LIBDIR})
endif()
set(PHYR_PROVIDER_DIR ${provider_dir} CACHE STRING "Where libibverbs looks for providers")

# libibverbs' own version is SONAME.LEVEL.VERSION of rdma-core.
string(REGEX REPLACE "^[0-9]+\\.[0-9]+\\." "" installed ${ibverbs_version})
set(PHYR_RDMA_CORE_SOURCE "" CACHE FILEPATH
    "Source archive of rdma-core; if empty, the one in /usr/src of libibverbs' version is taken")
set(source ${PHYR_RDMA_CORE_SOURCE})
if(NOT source)
  set(source /usr/src/rdma-core_${installed}.orig.tar.gz)
  file(GLOB found /usr/src/rdma-core_${installed}.orig.tar.*z)
  if(found)
    list(GET found 0 source)
  endif()
endif()
if(NOT EXISTS "${source}")
  message(FATAL_ERROR "libphyr is made with the source of rdma-core ${installed}, and there is no "
    "${source}. As root, in /usr/src, run \"apt-get source --download-only rdma-core\" (apt takes "
    "sources from deb-src entries in /etc/apt), or set PHYR_RDMA_CORE_SOURCE to an archive, or do "
    "without libphyr: -DPHYR_PROVIDER=OFF.")
endif()

set(rdma_core ${CMAKE_BINARY_DIR}/rdma-core)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  ${CMAKE_CURRENT_LIST_DIR}/rdma-core ${source})
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env --unset=MAKEFLAGS --unset=MFLAGS CC=${CMAKE_C_COMPILER}
          ${CMAKE_CURRENT_LIST_DIR}/rdma-core ${source} ${rdma_core}
  RESULT_VARIABLE status)
if(status)
  message(FATAL_ERROR "${source} could not be prepared, see above; -DPHYR_PROVIDER=OFF builds "
    "without it")
endif()
file(STRINGS ${rdma_core}/build/include/config.h pabi REGEX "define IBVERBS_PABI_VERSION ")
string(REGEX REPLACE ".* " "" pabi "${pabi}")
if(NOT pabi STREQUAL installed_pabi)
  message(FATAL_ERROR "${source} has version ${pabi} of rdma-core's interface of providers, the "
    "installed libibverbs has ${installed_pabi}: set PHYR_RDMA_CORE_SOURCE to the source of "
    "rdma-core ${installed}.")
endif()
