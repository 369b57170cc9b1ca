#include "options.h"
#include "bounds.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

const char options_usage[] =
    "usage: edgec-serve BUNDLE [--host ADDRESS] [--port N] [--workers N] [--name MODEL] [--sha256 DIGEST] [--without-token]\n"
    "                   [--shared-memory PREFIX]\n"
    "  --host           an IPv4 address to listen on; 127.0.0.1 unless given. For others than this machine EDGEC_TOKEN\n"
    "                   in the environment has to be a secret of 16 characters or more: Authorization: Bearer TOKEN\n"
    "  --without-token  no secret: whoever reaches the port may ask\n"
    "  --port           8000 unless given; 0 for any, which is printed\n"
    "  --workers        how many images run at a time; one for each processor unless given\n"
    "  --shared-memory  let requests name POSIX shared memory whose key begins with PREFIX, to read images and to write\n"
    "                   logits; \"\" is all that this program's user may read and write\n";

static int number(const char *value, int least, int most, int *into) {
  char *end;
  long found = strtol(value, &end, 10);
  if (!*value || *end || found < least || found > most) return -1;
  *into = (int)found;
  return 0;
}

int options_read(int count, char **arguments, options *o) {
  for (int i = 1; i < count; i++) {
    const char *one = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
    int wrong = 0;
    if (!strcmp(one, "--without-token")) o->without_token = 1;
    else if (strncmp(one, "--", 2)) {
      if (o->bundle) return -1;
      o->bundle = one;
    } else {
      if (!value) return -1;
      struct in_addr address;
      if (!strcmp(one, "--host")) wrong = inet_pton(AF_INET, o->host = value, &address) != 1;
      else if (!strcmp(one, "--name")) o->name = value;
      else if (!strcmp(one, "--sha256")) o->sha256 = value;
      else if (!strcmp(one, "--shared-memory")) o->shared = value;
      else if (!strcmp(one, "--port")) wrong = number(value, 0, 65535, &o->port);
      else if (!strcmp(one, "--workers")) wrong = number(value, 1, SERVE_WORKERS, &o->workers);
      else return -1;
      i++;
    }
    if (wrong) return -1;
  }
  return o->bundle ? 0 : -1;
}
