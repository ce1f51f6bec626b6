// Starts the Elasticsearch server in this JVM, with settings taken from the environment as the official image does.
package lolstack;

import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;

import org.elasticsearch.bootstrap.ServerArgs;
import org.elasticsearch.common.io.stream.OutputStreamStreamOutput;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.KeyStoreWrapper;
import org.elasticsearch.common.settings.SecureString;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;

/**
 * The server reads its arguments, serialized, from standard input: in Elastic's distribution a second JVM, whose code
 * is not published as a library, writes them there. This class writes them itself and needs no second JVM.
 */
public final class ElasticsearchLauncher {
    /** An environment variable that is a setting: lower case with at least one dot. */
    private static final Pattern SETTING = Pattern.compile("[-a-z0-9_]+(\\.[-a-z0-9_]+)+");

    /** Settings of modules that this build does not have. The server would refuse to start for an unknown setting. */
    private static final Pattern NOT_IN_THIS_BUILD = Pattern.compile("(xpack|ingest)\\..*");

    private ElasticsearchLauncher() {}

    public static void main(String[] arguments) throws Throwable {
        LogConfigurator.configureESLogging();
        Environment environment;
        ServerArgs serverArguments;
        try {
            environment = environment();
            serverArguments = serverArguments(environment);
        } catch (Exception e) {
            System.err.println("elasticsearch: cannot start with these settings: " + e);
            System.exit(1);
            return;
        }
        System.setIn(new ServerInput(serialize(serverArguments)));
        startServer();
    }

    private static Environment environment() {
        Path home = Path.of(System.getProperty("es.path.home"));
        Map<String, String> settings = new TreeMap<>();
        System.getenv().forEach((name, value) -> {
            if (SETTING.matcher(name).matches() == false) {
                return;
            }
            if (NOT_IN_THIS_BUILD.matcher(name).matches()) {
                System.out.println("elasticsearch: " + name + " is ignored, this build has no such module");
            } else {
                settings.put(name, value);
            }
        });
        settings.put("path.home", home.toString());
        return InternalSettingsPreparer.prepareEnvironment(
            Settings.EMPTY, settings, home.resolve("config"), () -> System.getenv("HOSTNAME"));
    }

    private static ServerArgs serverArguments(Environment environment) throws Exception {
        KeyStoreWrapper keystore = KeyStoreWrapper.bootstrap(
            environment.configDir(), () -> new SecureString(new char[0]));
        boolean daemonize = false;
        boolean quiet = false;
        Path noPidFile = null;
        return new ServerArgs(
            daemonize, quiet, noPidFile, keystore, environment.settings(), environment.configDir(), environment.logsDir());
    }

    private static byte[] serialize(ServerArgs serverArguments) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (OutputStreamStreamOutput output = new OutputStreamStreamOutput(bytes)) {
            serverArguments.writeTo(output);
        }
        return bytes.toByteArray();
    }

    /** The server's main class is not public: the command line opens its package to this one. */
    private static void startServer() throws Throwable {
        Method main = Class.forName("org.elasticsearch.bootstrap.Elasticsearch").getMethod("main", String[].class);
        main.setAccessible(true);
        try {
            main.invoke(null, (Object) new String[0]);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /** The serialized arguments, and then nothing for ever: the end of the stream would tell the server to stop. */
    private static final class ServerInput extends InputStream {
        private final byte[] bytes;
        private int position = 0;

        ServerInput(byte[] bytes) {
            this.bytes = bytes;
        }

        @Override
        public int read() {
            while (position == bytes.length) {
                LockSupport.park(this);
            }
            return Byte.toUnsignedInt(bytes[position++]);
        }

        @Override
        public int read(byte[] target, int offset, int length) {
            if (length == 0) {
                return 0;
            }
            target[offset] = (byte) read();
            int rest = Math.min(length - 1, bytes.length - position);
            System.arraycopy(bytes, position, target, offset + 1, rest);
            position += rest;
            return 1 + rest;
        }
    }
}
