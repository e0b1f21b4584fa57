import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;

public class Client {
  static String lastId = "", name = "message";
  static long wait = 3000;
  static List<String> data = new ArrayList<>();

  public static void main(String[] args) throws InterruptedException {
    HttpClient client = HttpClient.newHttpClient();
    while (true) {
      HttpRequest.Builder request =
          HttpRequest.newBuilder(URI.create(args[0])).header("Accept", "text/event-stream");
      if (!lastId.isEmpty()) request.header("Last-Event-ID", lastId);
      name = "message";
      data.clear();
      try {
        client.send(request.build(), BodyHandlers.ofLines()).body().forEach(Client::take);
      } catch (IOException | java.io.UncheckedIOException broken) {
        System.err.println("The link broke: " + broken.getMessage());
      }
      Thread.sleep(wait);
    }
  }

  static void take(String line) {
    int colon = line.indexOf(':');
    String field = colon < 0 ? line : line.substring(0, colon);
    String value = colon < 0 ? "" : line.substring(colon + 1).replaceFirst("^ ", "");
    if (line.isEmpty()) {
      if (!data.isEmpty()) System.out.println(name + " " + String.join("\n", data));
      name = "message";
      data.clear();
    } else if (field.equals("event")) name = value;
    else if (field.equals("data")) data.add(value);
    else if (field.equals("id")) lastId = value;
    else if (field.equals("retry")) wait = Long.parseLong(value);
  }
}
