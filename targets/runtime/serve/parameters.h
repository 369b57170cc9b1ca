/* What a request says in words and numbers. */
#ifndef EDGEC_PARAMETERS_H
#define EDGEC_PARAMETERS_H

#include "json.h"

/* A member of an object's `parameters`. */
edgec_json parameter(edgec_json of, const char *name);

/* Whether it is this word, in capitals or not. */
int is_word(edgec_json value, const char *word);

/* Which of the words it is, counted from 1; 0 if it is none. */
int which_word(edgec_json value, const char *const *words, int count);

/* One of an object's `parameters` that may be left out: 0, with `*value` as it was if there is none; or -1. */
int read_integer(edgec_json parameters, const char *name, int64_t least, int64_t most, int64_t *value);

#endif
