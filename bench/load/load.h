// The load client: many connections to one server, counted as cheaply as can be, in one thread.
#ifndef LOAD_H
#define LOAD_H

#include <stddef.h>
#include <stdint.h>

enum protocol { SSE, WEBSOCKET, HTTP2 };

// Where a connection stands in what it reads.
enum stage { CONNECTING, HEAD, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, RAW, FRAME_HEAD, FRAME_BODY };

struct conn {
  int fd;
  uint32_t index;
  uint32_t frames;
  uint64_t left;       // bytes of the current chunk or frame that are still to come
  uint8_t stage;
  uint8_t stalled;     // reads nothing any more
  uint8_t matched;     // how much of the head's end has been seen
  uint8_t at_start;    // the next byte begins a line
  uint8_t dataless;    // the event has no data so far
  uint8_t type;        // of the current WebSocket or HTTP/2 frame
  uint8_t flags;
  uint8_t head_size;
  uint8_t head[16];
  uint8_t stamp_size;  // digits of a time stamp that the last read cut in two
  char stamp[24];
  char status[16];
};

struct counters {
  uint64_t frames, bytes, reads;
};

struct settings {
  enum protocol protocol;
  char request[4096];      // one %d in it is the connection's index
  char greeting[2][1024];  // WebSocket messages to send: after the upgrade, after the first message
  char prefix[64];         // WebSocket messages that begin so are counted
  char within[64];         // or each place that has this, where it is set
  uint32_t narrow;         // so many connections have a small receive buffer
  int stamps;              // whether messages carry time stamps
};

extern struct counters counters;
extern struct settings settings;
extern char *peeked;

// Each takes the bytes that a connection has read; 0, or -1 if the connection is of no use.
int feed_http1(struct conn *c, const char *bytes, size_t size);
int feed_websocket(struct conn *c, const char *bytes, size_t size);
int feed_http2(struct conn *c, const char *bytes, size_t size);
// Speaks first, where the protocol wants that. What it sends fits any socket's buffer.
int greet(struct conn *c);
int say(struct conn *c, const void *bytes, size_t size);
void send_websocket(struct conn *c, int opcode, const char *text, size_t size);

// Counts events in the text of an event stream.
void count_events(struct conn *c, const char *text, size_t size);
// Finds time stamps, ~<nanoseconds of the monotonic clock>~, and keeps how long they took.
void read_stamps(struct conn *c, const char *text, size_t size);
void counted(struct conn *c, uint32_t events);

uint64_t now_ns(void);
void histogram_clear(void);
void histogram_add(uint64_t ns);
uint64_t histogram_at(double part);
uint64_t histogram_max(void);
uint64_t histogram_total(void);

#endif
