#include "json.h"

#include <string.h>

enum { DEPTH = 32, SURROGATE = 0xd800, SURROGATES_END = 0xe000, LOW_SURROGATE = 0xdc00 };

static const char *blank(const char *at) {
  while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
  return at;
}

static int hexadecimal(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits behind \u, or -1. */
static int32_t four_digits(const char *at) {
  int32_t value = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hexadecimal(at[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/* How many bytes the UTF-8 sequence at `at` has (RFC 3629, 4), or 0 if it is none. */
static int sequence(const char *at) {
  const unsigned char *u = (const unsigned char *)at;
  if (u[0] < 0x80) return 1;
  int count = u[0] >= 0xc2 && u[0] < 0xe0 ? 2 : u[0] >= 0xe0 && u[0] < 0xf0 ? 3 : u[0] >= 0xf0 && u[0] < 0xf5 ? 4 : 0;
  for (int i = 1; i < count; i++)
    if ((u[i] & 0xc0) != 0x80) return 0;
  if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) || (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
    return 0;
  return count;
}

/* One character of a text, as UTF-8, and what is behind it in the source; NULL if it is none. */
static const char *character(const char *at, char utf8[4], int *bytes) {
  if (*at != '\\') {
    *bytes = (unsigned char)*at < 0x20 ? 0 : sequence(at);
    memcpy(utf8, at, (size_t)*bytes);
    return *bytes ? at + *bytes : NULL;
  }
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char *found = at[1] ? strchr(names, at[1]) : NULL;
  *bytes = 1;
  if (found) {
    utf8[0] = values[found - names];
    return at + 2;
  }
  int32_t code = at[1] == 'u' ? four_digits(at + 2) : -1;
  const char *after = at + 6;
  if (code >= SURROGATE && code < SURROGATES_END) {
    int32_t low = code < LOW_SURROGATE && after[0] == '\\' && after[1] == 'u' ? four_digits(after + 2) : -1;
    if (low < LOW_SURROGATE || low >= SURROGATES_END) return NULL;
    code = 0x10000 + (code - SURROGATE) * 0x400 + (low - LOW_SURROGATE);
    after += 6;
  }
  if (code <= 0) return NULL; /* a zero would end the text in C */
  *bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (int i = *bytes - 1; i > 0; i--, code >>= 6) utf8[i] = (char)(0x80 | (code & 0x3f));
  utf8[0] = (char)(first[*bytes] | code);
  return after;
}

/* What is behind a value; NULL if it is none. All of these read no further than the zero behind the text. */
static const char *skip(const char *at, int depth);

/* Most characters are plain ASCII, and every look for a member goes over what stands in front of it. */
static int is_plain(char c) {
  unsigned char u = (unsigned char)c;
  return u >= ' ' && u < 0x80 && u != '"' && u != '\\';
}

static const char *skip_text(const char *at) {
  char utf8[4];
  int bytes;
  if (*at != '"') return NULL;
  for (at++; at && *at != '"';)
    if (is_plain(*at)) at++;
    else at = character(at, utf8, &bytes);
  return at ? at + 1 : NULL;
}

static const char *skip_digits(const char *at) {
  if (*at < '0' || *at > '9') return NULL;
  while (*at >= '0' && *at <= '9') at++;
  return at;
}

static const char *skip_number(const char *at) {
  if (*at == '-') at++;
  at = *at == '0' ? at + 1 : skip_digits(at);
  if (at && *at == '.') at = skip_digits(at + 1);
  if (at && (*at == 'e' || *at == 'E')) {
    at++;
    at = skip_digits(at + (*at == '+' || *at == '-'));
  }
  return at;
}

static const char *skip_word(const char *at, const char *word) {
  size_t length = strlen(word);
  return strncmp(at, word, length) ? NULL : at + length;
}

static const char *skip_object(const char *begin, int depth) {
  const char *at = blank(begin + 1);
  if (*at == '}') return at + 1;
  for (;;) {
    at = skip_text(at);
    if (at) at = blank(at);
    at = at && *at == ':' ? skip(blank(at + 1), depth) : NULL;
    if (!at) return NULL;
    at = blank(at);
    if (*at != ',') return *at == '}' ? at + 1 : NULL;
    at = blank(at + 1);
  }
}

static const char *skip_array(const char *begin, int depth) {
  const char *at = blank(begin + 1);
  if (*at == ']') return at + 1;
  for (;;) {
    at = skip(at, depth);
    if (!at) return NULL;
    at = blank(at);
    if (*at != ',') return *at == ']' ? at + 1 : NULL;
    at = blank(at + 1);
  }
}

static const char *skip(const char *at, int depth) {
  if (depth == DEPTH) return NULL;
  switch (*at) {
  case '{': return skip_object(at, depth + 1);
  case '[': return skip_array(at, depth + 1);
  case '"': return skip_text(at);
  case 't': return skip_word(at, "true");
  case 'f': return skip_word(at, "false");
  case 'n': return skip_word(at, "null");
  default: return skip_number(at);
  }
}

edgec_json edgec_json_parse(const char *text, size_t size) {
  const char *begin = blank(text), *end = skip(begin, 0);
  return (edgec_json){end && (size_t)(blank(end) - text) == size ? begin : NULL};
}

static int is_called(const char *text, const char *name) {
  char utf8[4];
  int bytes;
  for (text++; *text != '"'; name += bytes) {
    if (is_plain(*text)) {
      bytes = 1;
      if (*text++ != *name) return 0;
      continue;
    }
    text = character(text, utf8, &bytes);
    if (strncmp(utf8, name, (size_t)bytes)) return 0;
  }
  return !*name;
}

edgec_json edgec_json_member(edgec_json object, const char *name) {
  edgec_json found = {NULL};
  if (!object.at || *object.at != '{') return found;
  for (const char *at = blank(object.at + 1); *at == '"';) {
    int wanted = is_called(at, name);
    const char *value = blank(blank(skip_text(at)) + 1);
    if (wanted && found.at) return (edgec_json){NULL};
    if (wanted) found.at = value;
    at = blank(skip(value, 0));
    if (*at == ',') at = blank(at + 1);
  }
  return found;
}

edgec_json edgec_json_first(edgec_json array) {
  if (!array.at || *array.at != '[') return (edgec_json){NULL};
  const char *at = blank(array.at + 1);
  return (edgec_json){*at == ']' ? NULL : at};
}

edgec_json edgec_json_next(edgec_json item) {
  const char *at = blank(skip(item.at, 0));
  return (edgec_json){*at == ',' ? blank(at + 1) : NULL};
}

int edgec_json_is_null(edgec_json value) { return value.at && *value.at == 'n'; }

size_t edgec_json_length(edgec_json text) { return text.at && *text.at == '"' ? (size_t)(skip_text(text.at) - text.at) : 0; }

size_t edgec_json_text(edgec_json text, char *into) {
  char *end = into;
  int bytes;
  for (const char *at = text.at + 1; *at != '"'; end += bytes) {
    char utf8[4];
    at = character(at, utf8, &bytes);
    memcpy(end, utf8, (size_t)bytes);
  }
  *end = 0;
  return (size_t)(end - into);
}

int edgec_json_integer(edgec_json number, int64_t least, int64_t most, int64_t *value) {
  if (!number.at || (*number.at != '-' && (*number.at < '0' || *number.at > '9'))) return -1;
  const char *at = number.at + (*number.at == '-');
  int64_t found = 0;
  for (; *at >= '0' && *at <= '9'; at++) {
    if (found > (INT64_MAX - 9) / 10) return -1;
    found = found * 10 + (*at - '0');
  }
  if (*at == '.' || *at == 'e' || *at == 'E') return -1;
  if (*number.at == '-') found = -found;
  if (found < least || found > most) return -1;
  *value = found;
  return 0;
}
