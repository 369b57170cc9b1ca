#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for so many bytes more. 0, or -1 if there is no memory. */
static int make_room(text *t, size_t size) {
  if (t->failed) return -1;
  if (size <= t->room - t->size) return 0;
  size_t room = t->size + size + t->room / 2 + 512;
  char *grown = realloc(t->bytes, room);
  if (!grown) return t->failed = 1, -1;
  t->bytes = grown;
  t->room = room;
  return 0;
}

void text_add(text *t, const void *bytes, size_t size) {
  if (make_room(t, size)) return;
  if (size) memcpy(t->bytes + t->size, bytes, size);
  t->size += size;
}

void text_print(text *t, const char *format, ...) {
  enum { LONGEST = 1024 };
  va_list values;
  if (!strchr(format, '%')) return text_add(t, format, strlen(format));
  if (make_room(t, LONGEST)) return;
  va_start(values, format);
  int length = vsnprintf(t->bytes + t->size, LONGEST, format, values);
  va_end(values);
  if (length < 0 || length >= LONGEST) t->failed = 1;
  else t->size += (size_t)length;
}

void text_quote(text *t, const char *value) {
  text_add(t, "\"", 1);
  while (*value) {
    size_t plain = 0;
    while ((unsigned char)value[plain] >= 0x20 && value[plain] != '"' && value[plain] != '\\') plain++;
    text_add(t, value, plain);
    value += plain;
    if (*value == '"' || *value == '\\') text_add(t, "\\", 1), text_add(t, value++, 1);
    else if (*value) text_print(t, "\\u%04x", (unsigned)(unsigned char)*value++);
  }
  text_add(t, "\"", 1);
}

void text_free(text *t) {
  free(t->bytes);
  *t = (text){0};
}
