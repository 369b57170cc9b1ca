/* Reading JSON (RFC 8259) where it lies: a value is a place in a text that was checked before. */
#ifndef EDGEC_JSON_H
#define EDGEC_JSON_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char *at; /* NULL: there is none */
} edgec_json;

/* The value that a text of `size` bytes and a zero behind them is; none if it is not JSON, or more than 32 values are
   inside each other. All other functions take values of such a text, or none. */
edgec_json edgec_json_parse(const char *text, size_t size);

edgec_json edgec_json_member(edgec_json object, const char *name); /* none, too, if it is not an object or has the name twice */
edgec_json edgec_json_first(edgec_json array);                     /* none, too, if it is not an array */
edgec_json edgec_json_next(edgec_json item);                       /* of the same array */
int edgec_json_is_null(edgec_json value);

/* Write a text as UTF-8 with a zero behind it into `into`, which holds what edgec_json_length returned and one more. */
size_t edgec_json_text(edgec_json text, char *into);
/* How many bytes that takes at most; 0 if it is not a text. */
size_t edgec_json_length(edgec_json text);

/* 0, or -1 if it is not an integer from `least` to `most`. */
int edgec_json_integer(edgec_json number, int64_t least, int64_t most, int64_t *value);

#endif
