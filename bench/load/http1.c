// An HTTP/1.1 response, in chunks or until it ends.
#include "load.h"
#include <stdio.h>
#include <string.h>

static const char END[] = "\r\n\r\n";

// Reads the head, of which only the first line and the framing matter.
static size_t read_head(struct conn *c, const char *bytes, size_t size) {
  size_t at = 0;
  while (at < size && c->matched < 4) {
    char byte = bytes[at++];
    if (c->head_size < sizeof c->status - 1) c->status[c->head_size++] = byte;
    c->matched = byte == END[c->matched] ? c->matched + 1 : byte == '\r' ? 1 : 0;
  }
  return at;
}

int feed_http1(struct conn *c, const char *bytes, size_t size) {
  size_t at = 0;
  while (at < size) {
    if (c->stage == HEAD) {
      at += read_head(c, bytes + at, size - at);
      if (c->matched < 4) break;
      if (strncmp(c->status, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "The server answered %.12s\n", c->status);
        return -1;
      }
      c->stage = CHUNK_SIZE;
      c->left = 0;
      c->at_start = 1;
      c->dataless = 1;
    } else if (c->stage == CHUNK_SIZE) {
      char byte = bytes[at++];
      if (byte == '\n') c->stage = c->left > 0 ? CHUNK_DATA : CHUNK_END;
      else if (byte >= '0' && byte <= '9') c->left = c->left * 16 + (uint64_t)(byte - '0');
      else if (byte != '\r') c->left = c->left * 16 + (uint64_t)((byte | 32) - 'a' + 10);
    } else if (c->stage == CHUNK_DATA) {
      size_t part = size - at < c->left ? size - at : (size_t)c->left;
      count_events(c, bytes + at, part);
      at += part;
      c->left -= part;
      if (c->left == 0) c->stage = CHUNK_END;
    } else {
      if (bytes[at++] == '\n') c->stage = CHUNK_SIZE;
    }
  }
  return 0;
}
