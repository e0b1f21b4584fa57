import sys
import time
import urllib.error
import urllib.request


def events(url):
    """Yields (event, data), and comes back after a broken connection."""
    last_id, wait = "", 3.0
    while True:
        request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
        if last_id:
            request.add_header("Last-Event-ID", last_id)
        try:
            with urllib.request.urlopen(request, timeout=60) as stream:
                name, data = "message", []
                for raw in stream:
                    line = raw.decode().rstrip("\r\n")
                    field, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    if line == "":
                        if data:
                            yield name, "\n".join(data)
                        name, data = "message", []
                    elif field == "event":
                        name = value
                    elif field == "data":
                        data.append(value)
                    elif field == "id":
                        last_id = value
                    elif field == "retry" and value.isdigit():
                        wait = int(value) / 1000
        except urllib.error.HTTPError as error:
            if error.code not in (429, 502, 503, 504):
                raise
        except OSError:
            pass  # The link broke: what was missed comes after the wait.
        time.sleep(wait)


for name, data in events(sys.argv[1]):
    print(name, data, flush=True)
