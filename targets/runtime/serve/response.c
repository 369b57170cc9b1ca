#include "response.h"

static const char *phrase(int status) {
  switch (status) {
  case 200: return "OK";
  case 400: return "Bad Request";
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 413: return "Content Too Large";
  case 415: return "Unsupported Media Type";
  case 431: return "Request Header Fields Too Large";
  case 503: return "Service Unavailable";
  case 505: return "HTTP Version Not Supported";
  default: return "Internal Server Error";
  }
}

int response_send(int connection, const answer *a, int keep) {
  text head = {0};
  text_print(&head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", a->status, phrase(a->status), a->header ? "application/octet-stream" : a->type, a->body.size);
  if (a->header) text_print(&head, "Inference-Header-Content-Length: %zu\r\n", a->header);
  if (a->status == 503) text_print(&head, "Retry-After: 1\r\n");
  text_print(&head, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s\r\n", keep ? "" : "Connection: close\r\n");
  if (a->body.size < 1 << 14) text_add(&head, a->body.bytes, a->body.size);
  int lost = head.failed || send_all(connection, head.bytes, head.size);
  if (!lost && a->body.size >= 1 << 14) lost = send_all(connection, a->body.bytes, a->body.size);
  text_free(&head);
  return lost;
}
