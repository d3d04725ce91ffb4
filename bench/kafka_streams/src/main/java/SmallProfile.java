import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * The small profile on Kafka Streams: exactly once (v2), one thread, RocksDB behind a cache, its changelog on Kafka.
 * Arguments: bootstrap, input topic, output topic, application id, folder of the state. Runs until it is stopped.
 */
public final class SmallProfile {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long SESSION_MS = 30 * 60 * 1000;
    private static final int TRIGGER_EVERY_ORDERS = 3;
    private static final String STORE = "profiles";

    /** One event; what the profile does not need is skipped, as a reader of typed JSON does. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    public static final class Event {
        public String record;
        public String event = "";
        public long occurred_at;
        public String category = "";
        public String order_id = "";
        public long total_cents;
    }

    /** What is remembered of a customer. */
    public static final class Profile {
        public long first_at;
        public long last_at;
        public int events;
        public int sessions;
        public int orders;
        public int chats;
        public long spent_cents;
        public Map<String, Integer> categories = new HashMap<>();
    }

    /** What every third order leads to. */
    public record Trigger(String customer, String order_id, int orders, long spent_cents) {}

    private static final class Step implements Processor<String, Event, String, Trigger> {
        private ProcessorContext<String, Trigger> context;
        private KeyValueStore<String, Profile> profiles;

        @Override
        public void init(ProcessorContext<String, Trigger> given) {
            context = given;
            profiles = given.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, Event> record) {
            Event event = record.value();
            Profile profile = profiles.get(record.key());
            if (profile == null) {
                profile = new Profile();
                profile.first_at = event.occurred_at;
            }
            if (event.occurred_at - profile.last_at > SESSION_MS) {
                profile.sessions++;
            }
            profile.last_at = Math.max(profile.last_at, event.occurred_at);
            profile.events++;
            if (!event.category.isEmpty()) {
                profile.categories.merge(event.category, 1, Integer::sum);
            }
            boolean triggers = false;
            if (event.record.equals("purchase")) {
                profile.orders++;
                profile.spent_cents += event.total_cents;
                triggers = profile.orders % TRIGGER_EVERY_ORDERS == 0;
            } else if (event.record.equals("chat")) {
                profile.chats++;
            }
            profiles.put(record.key(), profile);
            if (triggers) {
                Trigger trigger =
                        new Trigger(record.key(), event.order_id, profile.orders, profile.spent_cents);
                context.forward(record.withValue(trigger));
            }
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        String bootstrap = arguments[0];
        String input = arguments[1];
        String output = arguments[2];
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[3]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[4]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 100 * 1024 * 1024L);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");

        StoreBuilder<KeyValueStore<String, Profile>> store =
                Stores.keyValueStoreBuilder(
                                Stores.persistentKeyValueStore(STORE), Serdes.String(), serde(Profile.class))
                        .withCachingEnabled()
                        .withLoggingEnabled(Map.of());
        Topology topology =
                new Topology()
                        .addSource("events", Serdes.String().deserializer(), serde(Event.class).deserializer(), input)
                        .addProcessor("step", Step::new, "events")
                        .addStateStore(store, "step")
                        .addSink("triggers", output, Serdes.String().serializer(), serde(Trigger.class).serializer(), "step");
        KafkaStreams streams = new KafkaStreams(topology, settings);
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }

    private static <T> Serde<T> serde(Class<T> type) {
        ObjectReader reader = JSON.readerFor(type);
        ObjectWriter writer = JSON.writerFor(type);
        Serializer<T> serializer = (topic, value) -> {
            try {
                return value == null ? null : writer.writeValueAsBytes(value);
            } catch (IOException problem) {
                throw new UncheckedIOException(problem);
            }
        };
        Deserializer<T> deserializer = (topic, bytes) -> {
            try {
                return bytes == null ? null : reader.readValue(bytes);
            } catch (IOException problem) {
                throw new UncheckedIOException(problem);
            }
        };
        return Serdes.serdeFrom(serializer, deserializer);
    }
}
