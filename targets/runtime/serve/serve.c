/* edgec-serve: a bundle as an HTTP service. KServe v2 below /v2, Prometheus's numbers at /metrics. */
#define _GNU_SOURCE
#include "access.h"
#include "bounds.h"
#include "jobs.h"
#include "kserve.h"
#include "metrics.h"
#include "options.h"
#include "regions.h"
#include "response.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  int descriptor; /* -1: the place is free */
  time_t idle;    /* since when it waits for a request; 0: it does not */
} place;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static place places[SERVE_CONNECTIONS];
static atomic_int ending;
static service served;
static access_rule rule;

static double clock_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int open_connections(void) {
  int open = 0;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < SERVE_CONNECTIONS; i++) open += places[i].descriptor >= 0;
  pthread_mutex_unlock(&lock);
  return open;
}

static void make_answer(const request *r, answer *a) {
  const char *no = access_refusal(&rule, r);
  if (no) refuse(a, 403, no);
  else if (!strcmp(r->path, "/metrics") && !strcmp(r->method, "GET")) metrics_answer(a, open_connections());
  else if (!strncmp(r->path, "/v2", 3) && (!r->path[3] || r->path[3] == '/')) kserve_answer(&served, r, a);
  else refuse(a, 404, "there is nothing here; the service is below /v2");
  if (a->body.failed) refuse(a, 500, "not enough memory for the answer");
}

/* Answer one request. Return whether the connection stays open. */
static int serve_one(place *p) {
  request r;
  answer a = {200, "application/json", {0}, 0};
  const char *why;
  int status = request_read(p->descriptor, &r, &why);
  pthread_mutex_lock(&lock);
  p->idle = 0;
  pthread_mutex_unlock(&lock);
  double begin = clock_seconds();
  int keep = !status && r.keep && !ending;
  if (status > 0) refuse(&a, status, why);
  else if (!status) make_answer(&r, &a);
  if (status >= 0) {
    keep = keep && a.status != 403;
    metrics_count(a.status, clock_seconds() - begin);
    keep = !response_send(p->descriptor, &a, keep) && keep;
  }
  text_free(&a.body);
  request_free(&r);
  return keep;
}

static void *serve(void *argument) {
  place *p = argument;
  int yes = 1;
  setsockopt(p->descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  request_wait_at_most(p->descriptor);
  do {
    pthread_mutex_lock(&lock);
    p->idle = time(NULL);
    pthread_mutex_unlock(&lock);
  } while (!ending && serve_one(p));
  shutdown(p->descriptor, SHUT_WR);
  char rest[4096]; /* unread bytes at close would make the system drop the answer */
  for (int i = 0; i < 64 && recv(p->descriptor, rest, sizeof rest, MSG_DONTWAIT) > 0; i++) {}
  pthread_mutex_lock(&lock);
  close(p->descriptor);
  p->descriptor = -1;
  pthread_mutex_unlock(&lock);
  return NULL;
}

/* Return a free place. If there is none, the connection that we have waited for longest is closed, and the new client has
 * to try again. */
static place *take_place(int connection) {
  place *found = NULL, *slowest = NULL;
  time_t now = time(NULL);
  pthread_mutex_lock(&lock);
  for (int i = 0; i < SERVE_CONNECTIONS && !found; i++) {
    place *p = &places[i];
    if (p->descriptor < 0) found = p;
    else if (p->idle && p->idle < now && (!slowest || p->idle < slowest->idle)) slowest = p;
  }
  if (found) *found = (place){connection, now};
  else if (slowest) shutdown(slowest->descriptor, SHUT_RDWR);
  pthread_mutex_unlock(&lock);
  return found;
}

static void take_connection(int listener, const pthread_attr_t *attributes) {
  pthread_t thread;
  int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (connection < 0) {
    if (errno == EMFILE || errno == ENFILE) usleep(10000);
    return;
  }
  place *p = take_place(connection);
  if (p && !pthread_create(&thread, attributes, serve, p)) return;
  static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
  (void)!send(connection, busy, sizeof busy - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  pthread_mutex_lock(&lock);
  if (p) p->descriptor = -1;
  close(connection);
  pthread_mutex_unlock(&lock);
}

/* Close idle connections; give the others the time of one request to finish. */
static void finish(void) {
  ending = 1;
  for (int i = 0, open = 1; open && i < SERVE_REQUEST_SECONDS * 20; i++) {
    open = 0;
    pthread_mutex_lock(&lock);
    for (int k = 0; k < SERVE_CONNECTIONS; k++) {
      open |= places[k].descriptor >= 0;
      if (places[k].descriptor >= 0 && places[k].idle) shutdown(places[k].descriptor, SHUT_RD);
    }
    pthread_mutex_unlock(&lock);
    if (open) usleep(50000);
  }
}

static int run(int listener, int signals) {
  pthread_attr_t apart;
  pthread_attr_init(&apart);
  pthread_attr_setdetachstate(&apart, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&apart, SERVE_STACK_BYTES);
  for (;;) {
    struct pollfd p[] = {{listener, POLLIN, 0}, {signals, POLLIN, 0}};
    if (poll(p, 2, -1) < 0 && errno != EINTR) return 1;
    if (p[1].revents) break;
    if (p[0].revents) take_connection(listener, &apart);
  }
  close(listener);
  finish();
  return 0;
}

static int fail(const char *what, const char *why) {
  fprintf(stderr, "edgec-serve: %s%s%s\n", what, why ? ": " : "", why ? why : "");
  return 1;
}

static int listen_on(const char *host, int port, int *listener) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t size = sizeof at;
  int yes = 1;
  inet_pton(AF_INET, host, &at.sin_addr);
  rule.here_alone = ntohl(at.sin_addr.s_addr) >> 24 == 127;
  *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (*listener < 0 || setsockopt(*listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) || bind(*listener, (struct sockaddr *)&at, size) ||
      listen(*listener, 64) || getsockname(*listener, (struct sockaddr *)&at, &size))
    return fail("the address cannot be listened on", strerror(errno));
  printf("http://%s:%d/v2/models/%s\n", host, ntohs(at.sin_port), served.name);
  return fflush(stdout) ? 1 : 0;
}

int main(int count_of, char **arguments) {
  options o = {.host = "127.0.0.1", .port = 8000};
  edgec_network *network;
  edgec_error error;
  int listener;
  if (options_read(count_of, arguments, &o)) return fputs(options_usage, stderr), 2;
  const char *no = access_token(&rule, o.host, o.without_token);
  if (no) return fail(no, NULL), 2;
  if (!o.workers) o.workers = (int)sysconf(_SC_NPROCESSORS_ONLN);
  edgec_open_options opening = {sizeof opening, o.sha256};
  if (edgec_open(o.bundle, &opening, &network, &error)) return fail(error.text, NULL);
  served.network = network;
  served.about.size = sizeof served.about;
  edgec_describe(network, &served.about);
  served.name = o.name ? o.name : *served.about.model ? served.about.model : "edgec";
  for (int i = 0; i < SERVE_CONNECTIONS; i++) places[i].descriptor = -1;
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before there are threads */
  int signals = signalfd(-1, &ends, SFD_CLOEXEC);
  if (signals < 0) return fail("signals cannot be read", strerror(errno));
  if (o.shared && regions_allow(o.shared)) return fail("shared memory cannot be offered", strerror(errno));
  if (jobs_start(network, o.workers < 1 ? 1 : o.workers, &error)) return fail(error.text, NULL);
  return listen_on(o.host, o.port, &listener) || run(listener, signals);
}
