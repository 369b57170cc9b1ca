/* A text that grows. */
#ifndef EDGEC_TEXT_H
#define EDGEC_TEXT_H

#include <stddef.h>

typedef struct {
  char *bytes;
  size_t size, room;
  int failed; /* there was no memory: what was added since is lost */
} text;

void text_add(text *t, const void *bytes, size_t size);
void text_print(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_quote(text *t, const char *value); /* as JSON */
void text_free(text *t);

#endif
