/* The command line. */
#ifndef EDGEC_OPTIONS_H
#define EDGEC_OPTIONS_H

typedef struct {
  const char *bundle, *host, *name, *sha256, *shared;
  int port, workers, without_token;
} options;

extern const char options_usage[];

/* 0, or -1 if the arguments are not those of `options_usage`. What they leave out stays as it is. */
int options_read(int count, char **arguments, options *o);

#endif
