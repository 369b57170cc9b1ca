#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

edgec_status edgec_fail(edgec_error *error, edgec_status status, const char *format, ...) {
  if (!error) return status;
  va_list arguments;
  va_start(arguments, format);
  error->status = status;
  vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
  return status;
}

edgec_status edgec_succeed(edgec_error *error) {
  if (error) {
    error->status = EDGEC_OK;
    error->text[0] = 0;
  }
  return EDGEC_OK;
}

const char *edgec_status_text(edgec_status status) {
  switch (status) {
  case EDGEC_OK: return "no error";
  case EDGEC_BAD_ARGUMENT: return "a bad argument";
  case EDGEC_NO_FILE: return "the file cannot be read";
  case EDGEC_NO_BUNDLE: return "no sound bundle or engine";
  case EDGEC_CHANGED: return "another sha256";
  case EDGEC_PROCESSOR: return "not for this processor";
  case EDGEC_NO_MEMORY: return "not enough memory";
  case EDGEC_SYSTEM: return "refused by the system";
  case EDGEC_BAD_FRAME: return "a frame that cannot be right";
  case EDGEC_BAD_PICTURE: return "a picture that cannot be decoded";
  }
  return "unknown status";
}

int edgec_version(void) { return EDGEC_VERSION_MAJOR * 1000 + EDGEC_VERSION_MINOR; }
