/* What a bundle says about its engine: manifest.json, and the metadata in an engine file. */
#ifndef EDGEC_MANIFEST_H
#define EDGEC_MANIFEST_H

#include "archive.h"
#include "fit.h"
#include "json.h"

typedef struct {
  char *memory; /* of all strings; `free` it */
  const char *model, *target, *engine, *engine_sha256;
  const char **classes; /* in `memory`, too */
  int32_t class_count;
  int64_t output_height, output_width; /* of a map of classes; 1 and 1 where a picture has one class */
  edgec_fitting fitting;
} edgec_manifest;

/* Read a manifest. It has to be of a bundle whose engine runs on CPUs. */
edgec_status edgec_read_manifest(edgec_part text, edgec_manifest *manifest, edgec_error *error);

/* Read the preprocessing of a manifest or of an engine's metadata. -1 if it is none that is known. */
int edgec_read_fitting(edgec_json preprocessing, edgec_fitting *fitting);

#endif
