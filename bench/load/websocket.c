// WebSocket without extensions: text messages that are counted, and pings that are answered.
#include "load.h"
#include <stdio.h>
#include <string.h>

// Masked with zeros, which is a mask like any other.
void send_websocket(struct conn *c, int opcode, const char *text, size_t size) {
  unsigned char frame[1024 + 8];
  size_t at = 0;
  frame[at++] = (unsigned char)(0x80 | opcode);
  if (size < 126) frame[at++] = (unsigned char)(0x80 | size);
  else {
    frame[at++] = 0x80 | 126;
    frame[at++] = (unsigned char)(size >> 8);
    frame[at++] = (unsigned char)size;
  }
  memset(frame + at, 0, 4);
  memcpy(frame + at + 4, text, size);
  say(c, frame, at + 4 + size);
}

static void greet_with(struct conn *c, const char *text) {
  if (*text != 0) send_websocket(c, 1, text, strlen(text));
}

// The first bytes of each message are kept, since they tell what it is.
static void message_begins(struct conn *c, const char *text, size_t size) {
  size_t prefix = strlen(settings.prefix);
  if (c->type == 9) send_websocket(c, 10, "", 0);
  if (c->type != 1) return;
  if (settings.within[0] == 0 && size >= prefix && memcmp(text, settings.prefix, prefix) == 0) {
    counted(c, 1);
  } else if (settings.prefix[0] == '4' && size >= 1 && text[0] == '2') {
    send_websocket(c, 1, "3", 1);
  } else if (c->flags == 0) {
    c->flags = 1;
    greet_with(c, settings.greeting[1]);
    // Where publications are counted by what stands in them, the answer is the first message.
    if (settings.within[0] != 0) counted(c, 1);
  }
}

// Several publications may stand in one message; a place cut in two by a read is kept in `head`.
static void count_within(struct conn *c, const char *text, size_t size) {
  const char *word = settings.within;
  size_t length = strlen(word), at = 0;
  uint32_t found = 0;
  for (; at < size && c->matched > 0; at++) {
    if (text[at] != word[c->matched]) {
      c->matched = 0;
      break;
    }
    if (++c->matched == length) {
      found++;
      c->matched = 0;
    }
  }
  const char *place;
  while (at < size && (place = memmem(text + at, size - at, word, length)) != NULL) {
    found++;
    at = (size_t)(place - text) + length;
  }
  for (size_t keep = length - 1; keep > 0 && c->matched == 0; keep--) {
    if (size - at >= keep && memcmp(text + size - keep, word, keep) == 0) c->matched = (uint8_t)keep;
  }
  if (found > 0) counted(c, found);
}

static size_t head_length(const struct conn *c) {
  if (c->head_size < 2) return 2;
  int size = c->head[1] & 127;
  return size == 127 ? 10 : size == 126 ? 4 : 2;
}

int feed_websocket(struct conn *c, const char *bytes, size_t size) {
  size_t at = 0;
  if (c->stage == HEAD) {
    static const char END[] = "\r\n\r\n";
    while (at < size && c->matched < 4) {
      char byte = bytes[at++];
      if (c->head_size < sizeof c->status - 1) c->status[c->head_size++] = byte;
      c->matched = byte == END[c->matched] ? c->matched + 1 : byte == '\r' ? 1 : 0;
    }
    if (c->matched < 4) return 0;
    if (strncmp(c->status, "HTTP/1.1 101", 12) != 0) {
      fprintf(stderr, "The server answered %.12s\n", c->status);
      return -1;
    }
    c->stage = FRAME_HEAD;
    c->head_size = c->matched = 0;
    greet_with(c, settings.greeting[0]);
  }
  while (at < size) {
    if (c->stage == FRAME_HEAD) {
      c->head[c->head_size++] = (uint8_t)bytes[at++];
      size_t length = head_length(c);
      if (c->head_size < length) continue;
      c->type = c->head[0] & 15;
      if (c->type == 8) return -1;
      c->left = length == 2 ? c->head[1] : 0;
      for (size_t i = 2; i < length; i++) c->left = c->left << 8 | c->head[i];
      c->head_size = 0;
      c->stage = FRAME_BODY;
      // A message whose first bytes come with a later read waits there.
      if (c->left == 0) {
        message_begins(c, "", 0);
        c->stage = FRAME_HEAD;
      }
      c->dataless = 1;
      continue;
    }
    size_t part = size - at < c->left ? size - at : (size_t)c->left;
    if (c->dataless) {
      c->dataless = 0;
      message_begins(c, bytes + at, part);
    }
    if (c->type == 1 && settings.within[0] != 0) count_within(c, bytes + at, part);
    if (settings.stamps) read_stamps(c, bytes + at, part);
    at += part;
    c->left -= part;
    if (c->left == 0) c->stage = FRAME_HEAD;
  }
  return 0;
}
