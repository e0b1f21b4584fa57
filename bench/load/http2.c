// HTTP/2 without TLS, with prior knowledge: one request on a connection, whose DATA is counted.
#include "load.h"
#include <stdio.h>
#include <string.h>

static size_t frame(unsigned char *to, size_t size, int type, int flags, int stream) {
  unsigned char head[9] = {(unsigned char)(size >> 16), (unsigned char)(size >> 8),
                           (unsigned char)size, (unsigned char)type, (unsigned char)flags, 0, 0, 0,
                           (unsigned char)stream};
  memcpy(to, head, 9);
  return 9;
}

static size_t literal(unsigned char *to, const char *name, const char *value) {
  size_t names = strlen(name), values = strlen(value), at = 0;
  to[at++] = 0;  // a literal that is not indexed, with a new name
  to[at++] = (unsigned char)names;
  memcpy(to + at, name, names);
  at += names;
  to[at++] = (unsigned char)values;  // below 127, see greet
  memcpy(to + at, value, values);
  return at + values;
}

// The preface, windows that no run here fills, and the request, whose path the settings have.
int greet(struct conn *c) {
  unsigned char out[1024];
  char path[128];
  static const unsigned char windows[] = {0, 4, 0x7f, 0xff, 0xff, 0xff};
  static const unsigned char update[] = {0x7f, 0xff, 0, 0};
  size_t at = 24;
  memcpy(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
  at += frame(out + at, sizeof windows, 4, 0, 0);
  memcpy(out + at, windows, sizeof windows);
  at += sizeof windows;
  at += frame(out + at, sizeof update, 8, 0, 0);
  memcpy(out + at, update, sizeof update);
  at += sizeof update;
  snprintf(path, sizeof path, settings.request, c->index);
  unsigned char head[512];
  size_t size = 0;
  size += literal(head + size, ":method", "GET");
  size += literal(head + size, ":scheme", "http");
  size += literal(head + size, ":authority", "127.0.0.1");
  size += literal(head + size, ":path", path);
  size += literal(head + size, "accept", "text/event-stream");
  at += frame(out + at, size, 1, 5, 1);
  memcpy(out + at, head, size);
  c->stage = FRAME_HEAD;
  c->head_size = 0;
  c->at_start = c->dataless = 1;
  return say(c, out, at + size);
}

static int frame_ends(struct conn *c) {
  unsigned char out[32];
  if (c->type == 4 && !(c->flags & 1)) {
    frame(out, 0, 4, 1, 0);
    return say(c, out, 9);
  }
  if (c->type == 6 && !(c->flags & 1)) {
    frame(out, 8, 6, 1, 0);
    memcpy(out + 9, c->stamp, 8);
    return say(c, out, 17);
  }
  if (c->type == 3 || c->type == 7) {
    fprintf(stderr, "The server ended an HTTP/2 stream.\n");
    return -1;
  }
  return 0;
}

int feed_http2(struct conn *c, const char *bytes, size_t size) {
  size_t at = 0;
  while (at < size) {
    if (c->stage == FRAME_HEAD) {
      c->head[c->head_size++] = (uint8_t)bytes[at++];
      if (c->head_size < 9) continue;
      c->left = (uint64_t)c->head[0] << 16 | (uint64_t)c->head[1] << 8 | c->head[2];
      c->type = c->head[3];
      c->flags = c->head[4];
      c->head_size = 0;
      c->stage = c->left > 0 ? FRAME_BODY : FRAME_HEAD;
      if (c->left == 0 && frame_ends(c) < 0) return -1;
      continue;
    }
    size_t part = size - at < c->left ? size - at : (size_t)c->left;
    if (c->type == 0) count_events(c, bytes + at, part);
    if (c->type == 6 && part == 8) memcpy(c->stamp, bytes + at, 8);
    at += part;
    c->left -= part;
    if (c->left > 0) continue;
    c->stage = FRAME_HEAD;
    if (frame_ends(c) < 0) return -1;
  }
  return 0;
}
