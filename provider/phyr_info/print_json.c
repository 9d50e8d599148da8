// SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
/*
 * phyr_info: prints for programs. The output is one JSON object. Sizes are in bytes, and null
 * stands for what is not known. phyr_info(1) describes the keys, which must not change.
 */
#include <json-c/json.h>

#include "info.h"

static void add(struct json_object *object, const char *key, struct json_object *value)
{
	if (json_object_object_add(object, key, value))
		die("no memory");
}

static void append(struct json_object *array, struct json_object *value)
{
	if (json_object_array_add(array, value))
		die("no memory");
}

static void add_number(struct json_object *object, const char *key, bool known, uint64_t value)
{
	add(object, key, known ? json_object_new_uint64(value) : NULL);
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
	add(object, key, text && *text ? json_object_new_string(text) : NULL);
}

static void add_bool(struct json_object *object, const char *key, bool value)
{
	add(object, key, json_object_new_boolean(value));
}

static void add_strings(struct json_object *object, const char *key, const struct strings *strings)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < strings->nr; i++)
		append(array, json_object_new_string(strings->item[i]));
	add(object, key, array);
}

static struct json_object *new_document(void)
{
	struct json_object *document = json_object_new_object();

	add_text(document, "program", PROGRAM);
	add_text(document, "version", PHYR_VERSION);
	return document;
}

static void print_document(struct json_object *document)
{
	puts(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_SPACED |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(document);
}

/* Devices, the machine, and what to do. */

static struct json_object *counters_json(const struct device *device)
{
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < device->nr_counters; i++)
		add_number(object, device->counters[i].name, true, device->counters[i].value);
	return object;
}

static struct json_object *device_json(const struct device *device)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "device", device->name);
	add_text(object, "driver", device->driver);
	add_text(object, "netdev", device->netdev);
	add_bool(object, "through_phyr", through_phyr(device));
	add_text(object, "way", way_name(device->way));
	add_text(object, "provider", provider_name(device->provider));
	add_text(object, "provider_file", device->provider_file);
	add(object, "counters", device->nr_counters ? counters_json(device) : NULL);
	return object;
}

static struct json_object *module_json(const struct module *module)
{
	struct json_object *object = json_object_new_object();

	add_bool(object, "loaded", module->loaded);
	add_bool(object, "ours", module->ours);
	add_bool(object, "installed", module->installed);
	add_bool(object, "stale", module->stale);
	return object;
}

static struct json_object *modules_json(const struct machine *machine)
{
	struct json_object *object = json_object_new_object();

	add(object, "phyr", module_json(&machine->phyr));
	add(object, "rdma_rxe", module_json(&machine->rdma_rxe));
	add(object, "phyr_umem", module_json(&machine->phyr_umem));
	return object;
}

static struct json_object *pools_json(const struct machine *machine)
{
	struct json_object *array = json_object_new_array(), *object;

	for (size_t i = 0; i < machine->nr_pools; i++) {
		object = json_object_new_object();
		add_number(object, "size", true, machine->pools[i].size);
		add_number(object, "reserved", true, machine->pools[i].nr);
		add_number(object, "free", true, machine->pools[i].free);
		add_number(object, "overcommit", true, machine->pools[i].overcommit);
		append(array, object);
	}
	return array;
}

static struct json_object *hints_json(const struct hints *hints)
{
	struct json_object *array = json_object_new_array(), *object;

	for (size_t i = 0; i < hints->nr; i++) {
		object = json_object_new_object();
		add_text(object, "hint", hints->hint[i].name);
		add_strings(object, "devices", &hints->hint[i].devices);
		add_text(object, "why", hints->hint[i].why);
		add_strings(object, "commands", &hints->hint[i].commands);
		append(array, object);
	}
	return array;
}

void print_devices_json(const struct machine *machine, const struct devices *devices,
			const struct hints *hints)
{
	struct json_object *document = new_document(), *array = json_object_new_array();

	add_text(document, "kernel", machine->kernel);
	for (size_t i = 0; i < devices->nr; i++)
		if (!devices->device[i].hidden)
			append(array, device_json(&devices->device[i]));
	add(document, "devices", array);
	add(document, "modules", modules_json(machine));
	add_text(document, "livepatch", livepatch_name(machine->livepatch));
	add_number(document, "memlock", machine->memlock_limited, machine->memlock.rlim_cur);
	add_text(document, "transparent_huge_pages", machine->thp);
	add(document, "huge_pages", pools_json(machine));
	add(document, "hints", hints_json(hints));
	print_document(document);
}

/* Memory regions. */

static void add_facts(struct json_object *object, const struct mr *mr)
{
	const struct mr_facts *facts = &mr->facts;
	uint64_t bytes = 0;
	bool known;

	add_number(object, "extents", facts->known[MR_PHYRS], facts->value[MR_PHYRS]);
	known = mr_mean(mr, &bytes);
	add_number(object, "mean", known, bytes);
	add_number(object, "largest", facts->known[MR_LARGEST], facts->value[MR_LARGEST]);
	add_number(object, "smallest", facts->known[MR_SMALLEST], facts->value[MR_SMALLEST]);
	add_number(object, "metadata", facts->known[MR_METADATA], facts->value[MR_METADATA]);
	known = mr_pinned(mr, &bytes);
	add_number(object, "pinned", known, bytes);
}

static struct json_object *mr_json(const struct mr *mr)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "device", mr->device);
	add_number(object, "mrn", true, mr->number);
	add_number(object, "pid", mr->pid, mr->pid);
	add_text(object, "command", mr->command);
	add_number(object, "lkey", mr->lkey_known, mr->lkey);
	add_number(object, "length", true, mr->length);
	add_facts(object, mr);
	return object;
}

static struct json_object *total_json(const struct mrs *mrs)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "mrs", true, mrs->nr);
	add_number(object, "length", mrs->length_known, mrs->total.length);
	add_facts(object, &mrs->total);
	return object;
}

void print_mrs_json(const struct mrs *mrs)
{
	struct json_object *document = new_document(), *array = json_object_new_array();

	for (size_t i = 0; i < mrs->nr; i++)
		append(array, mr_json(&mrs->mr[i]));
	add(document, "mrs", array);
	add(document, "total", total_json(mrs));
	print_document(document);
}
