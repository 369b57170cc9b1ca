#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_add(text *t, const void *bytes, size_t size) {
  if (t->failed) return;
  if (size > t->room - t->size) {
    size_t room = t->size + size + t->room / 2 + 512;
    char *grown = realloc(t->bytes, room);
    if (!grown) {
      t->failed = 1;
      return;
    }
    t->bytes = grown;
    t->room = room;
  }
  if (size) memcpy(t->bytes + t->size, bytes, size);
  t->size += size;
}

void text_print(text *t, const char *format, ...) {
  char line[1024];
  va_list values;
  va_start(values, format);
  int length = vsnprintf(line, sizeof line, format, values);
  va_end(values);
  if (length < 0 || (size_t)length >= sizeof line) t->failed = 1;
  else text_add(t, line, (size_t)length);
}

void text_quote(text *t, const char *value) {
  text_add(t, "\"", 1);
  for (; *value; value++) {
    if (*value == '"' || *value == '\\') text_add(t, "\\", 1);
    if ((unsigned char)*value < 0x20) text_print(t, "\\u%04x", (unsigned)*value);
    else text_add(t, value, 1);
  }
  text_add(t, "\"", 1);
}

void text_free(text *t) {
  free(t->bytes);
  *t = (text){0};
}
