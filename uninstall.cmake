# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
#
# cmake --build BUILD --target uninstall: remove what the last "cmake --install BUILD" installed. If
# $DESTDIR is set, both work below it.

set(manifest ${CMAKE_BINARY_DIR}/install_manifest.txt)
if(NOT EXISTS ${manifest})
  message(FATAL_ERROR "Nothing is installed from here: there is no ${manifest}.")
endif()

file(STRINGS ${manifest} files)
foreach(file IN LISTS files)
  set(file "$ENV{DESTDIR}${file}")
  if(EXISTS "${file}" OR IS_SYMLINK "${file}")
    message(STATUS "Removing ${file}")
    file(REMOVE "${file}")
  else()
    message(STATUS "Not there: ${file}")
  endif()
  # Only we use the directory updates/phyr, so it is removed when it is empty.
  cmake_path(GET file PARENT_PATH dir)
  file(GLOB others "${dir}/*")
  if(dir MATCHES "/updates/phyr$" AND NOT others)
    file(REMOVE_RECURSE "${dir}")
  endif()
endforeach()
file(REMOVE ${manifest})
message(STATUS "Now run \"ldconfig; depmod\", and load the kernel's own rdma_rxe.")
