// Kafka's own producer in Java, with batches of 256 KB: records that are there already, into a topic.
//
// java -cp KAFKA_JARS Contender.java SERVERS TOPIC WARM_UP LINGER_MS COUNT BODY NAME=VALUE…
//
// BODY has N, S, R and W where a number and the ends of its ids go; NAME=VALUE are a record's headers. It says `ready`, waits for a line,
// sends COUNT records, and says `done` when the last of them is acknowledged. A record that is refused ends it.

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Contender {
    private static final int DIGITS = 12;
    private static final int DRIVES = 50;
    // So many records go to another topic first: Java is to be measured with its code compiled.
    private static final int WARM_UP = 200_000;

    public static void main(String[] args) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", args[0]);
        config.put("acks", "all");
        config.put("enable.idempotence", "true");
        config.put("compression.type", "none");
        config.put("linger.ms", args[3]);
        config.put("batch.size", "262144");
        config.put("buffer.memory", "67108864");
        config.put("max.request.size", "1048576");
        List<Header> headers = new ArrayList<>();
        for (int n = 6; n < args.length; n++) {
            String[] pair = args[n].split("=", 2);
            headers.add(new RecordHeader(pair[0], bytes(pair[1])));
        }
        byte[][] keys = new byte[DRIVES][];
        for (int n = 0; n < DRIVES; n++) keys[n] = bytes(String.format("bench-%04d", n));
        Body body = new Body(args[5]);
        ByteArraySerializer plain = new ByteArraySerializer();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config, plain, plain)) {
            send(producer, args[2], WARM_UP, body, keys, headers);
            producer.partitionsFor(args[1]);
            System.out.println("ready");
            System.in.read();
            send(producer, args[1], Integer.parseInt(args[4]), body, keys, headers);
            System.out.println("done");
            // Its end is who started it: what it took is looked at first.
            while (System.in.read() >= 0) {}
        }
    }

    private static void send(
            KafkaProducer<byte[], byte[]> producer, String topic, int count, Body body, byte[][] keys, List<Header> headers) {
        for (int n = 0; n < count; n++) {
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, null, keys[n % DRIVES], body.numbered(n), headers);
            producer.send(record, (metadata, error) -> {
                if (error != null) {
                    error.printStackTrace();
                    Runtime.getRuntime().halt(1);
                }
            });
        }
        producer.flush();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static final class Body {
        private final byte[] template;
        private final int number;
        private final int[] ids;

        Body(String text) {
            template = bytes(text);
            number = text.indexOf("N".repeat(DIGITS));
            ids = new int[] {text.indexOf("S".repeat(DIGITS)), text.indexOf("R".repeat(DIGITS)), text.indexOf("W".repeat(DIGITS))};
        }

        byte[] numbered(long n) {
            byte[] body = template.clone();
            write(body, number, n, 10);
            long random = n;
            for (int place : ids) {
                random += 0x9e3779b97f4a7c15L;
                long mixed = (random ^ (random >>> 30)) * 0xbf58476d1ce4e5b9L;
                write(body, place, mixed ^ (mixed >>> 27), 16);
            }
            return body;
        }

        private static void write(byte[] out, int place, long n, long base) {
            for (int digit = DIGITS - 1; digit >= 0; digit--) {
                out[place + digit] = (byte) "0123456789abcdef".charAt((int) Long.remainderUnsigned(n, base));
                n = Long.divideUnsigned(n, base);
            }
        }
    }
}
