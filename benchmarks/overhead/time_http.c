/* PROGRAM PORT FILE: from a request's first byte, which the file holds, to its answer's last. */
#include "timed.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) return NULL;
  *size = (size_t)ftell(file);
  rewind(file);
  char *data = malloc(*size);
  return data && fread(data, 1, *size, file) == *size ? data : NULL;
}

static int ask(int server, const char *request, size_t size) {
  char answer[1 << 16];
  size_t got = 0, wanted = sizeof answer - 1;
  for (size_t sent = 0; sent < size;) {
    ssize_t count = send(server, request + sent, size - sent, MSG_NOSIGNAL);
    if (count <= 0) return -1;
    sent += (size_t)count;
  }
  while (got < wanted) {
    ssize_t count = recv(server, answer + got, wanted - got, 0);
    if (count <= 0) return -1;
    got += (size_t)count;
    answer[got] = 0;
    const char *end = strstr(answer, "\r\n\r\n"), *length = strstr(answer, "Content-Length: ");
    if (end && length && wanted == sizeof answer - 1) wanted = (size_t)(end + 4 - answer) + (size_t)atol(length + 16);
  }
  return strncmp(answer, "HTTP/1.1 200 ", 13);
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  size_t size;
  char *request = read_file(arguments[2], &size);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int server = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  if (!request || server < 0 || connect(server, (struct sockaddr *)&at, sizeof at)) return fputs("no service\n", stderr), 1;
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  for (int n; (n = next_count());)
    while (n--) {
      long long begin = now();
      if (ask(server, request, size)) return fputs("no answer\n", stderr), 1;
      tell(now() - begin, !n);
    }
  return 0;
}
