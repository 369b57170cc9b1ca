#include "access.h"

#include <stdlib.h>
#include <string.h>

enum { TOKEN = 16 };

const char *access_token(access_rule *rule, const char *host, int without_token) {
  const char *token = getenv("EDGEC_TOKEN");
  rule->token = token && *token ? token : NULL;
  if (rule->token && strlen(rule->token) < TOKEN) return "EDGEC_TOKEN is shorter than 16 characters";
  if (rule->token || without_token || !strncmp(host, "127.", 4)) return NULL;
  return "others than this machine need a secret: set EDGEC_TOKEN, or give --without-token";
}

/* Compare in constant time, so that the time does not reveal how many bytes are right. */
static int is_token(const char *token, const char *given) {
  size_t length = strlen(token);
  volatile unsigned char different = strlen(given) != length;
  for (size_t i = 0; i < length && given[i]; i++) different |= (unsigned char)(given[i] ^ token[i]);
  return !different;
}

static int is_host_here(const char *host) {
  static const char *const names[] = {"127.0.0.1", "localhost"};
  for (int i = 0; i < 2; i++) {
    size_t length = strlen(names[i]);
    if (!strncmp(host, names[i], length) && (!host[length] || (host[length] == ':' && !host[length + 1 + strspn(host + length + 1, "0123456789")]))) return 1;
  }
  return 0;
}

/* Pages of other sites can reach a service on this machine through a browser, which marks such requests. */
const char *access_refusal(const access_rule *rule, const request *r) {
  if (r->origin || (r->site && strcmp(r->site, "none"))) return "not from a page of another site";
  if (rule->here_alone && !is_host_here(r->host)) return "this service is for this machine alone: ask 127.0.0.1 or localhost";
  if (!rule->token || !strncmp(r->path, "/v2/health/", 11)) return NULL;
  if (r->authorization && !strncmp(r->authorization, "Bearer ", 7) && is_token(rule->token, r->authorization + 7)) return NULL;
  return "the token is missing or wrong: Authorization: Bearer TOKEN";
}
