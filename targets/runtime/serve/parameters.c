#include "parameters.h"

#include <strings.h>

enum { LONGEST_WORD = 64 };

edgec_json parameter(edgec_json of, const char *name) { return edgec_json_member(edgec_json_member(of, "parameters"), name); }

int is_word(edgec_json value, const char *word) {
  char held[6 * LONGEST_WORD];
  size_t length = edgec_json_length(value);
  if (!length || length >= sizeof held) return 0;
  edgec_json_text(value, held);
  return !strcasecmp(held, word);
}

int which_word(edgec_json value, const char *const *words, int count) {
  for (int i = 0; i < count; i++)
    if (is_word(value, words[i])) return i + 1;
  return 0;
}

int read_integer(edgec_json parameters, const char *name, int64_t least, int64_t most, int64_t *value) {
  edgec_json found = edgec_json_member(parameters, name);
  return found.at ? edgec_json_integer(found, least, most, value) : 0;
}
