package lolstack;

import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.FilterConfig;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;

/**
 * Login by HTTP Basic for Spark's web UI and metrics, which Spark itself has none for. Allows reading only.
 *
 * <p>The parameter `file` names a file with the SHA-256 of `user:password`, in hexadecimal, one login a line. The
 * passwords are random, so that nobody can guess one from its hash.
 */
public final class PageLogin implements Filter {
    private static final Set<String> READING = Set.of("GET", "HEAD");
    private static final String SCHEME = "Basic ";
    private final List<byte[]> hashes = new ArrayList<>();

    @Override
    public void init(FilterConfig config) throws ServletException {
        // Without a login nobody could see the page, and a filter that fails here keeps the process from starting.
        String file = config.getInitParameter("file");
        try {
            for (String line : Files.readAllLines(Path.of(file))) {
                hashes.add(HexFormat.of().parseHex(line.strip()));
            }
        } catch (IOException | RuntimeException e) {
            throw new ServletException("the logins of Spark's pages cannot be read from " + file, e);
        }
    }

    @Override
    public void doFilter(ServletRequest request, ServletResponse response, FilterChain chain)
        throws IOException, ServletException {
        HttpServletRequest http = (HttpServletRequest) request;
        HttpServletResponse answer = (HttpServletResponse) response;
        if (!isKnown(http.getHeader("Authorization"))) {
            answer.setHeader("WWW-Authenticate", "Basic realm=\"Spark\", charset=\"UTF-8\"");
            answer.sendError(HttpServletResponse.SC_UNAUTHORIZED);
        } else if (!READING.contains(http.getMethod())) {
            answer.sendError(HttpServletResponse.SC_METHOD_NOT_ALLOWED);
        } else {
            chain.doFilter(request, response);
        }
    }

    private boolean isKnown(String authorization) {
        if (authorization == null || !authorization.regionMatches(true, 0, SCHEME, 0, SCHEME.length())) {
            return false;
        }
        byte[] given;
        try {
            byte[] login = Base64.getDecoder().decode(authorization.substring(SCHEME.length()).strip());
            given = MessageDigest.getInstance("SHA-256").digest(login);
        } catch (IllegalArgumentException e) {
            return false;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has it
        }
        boolean known = false;
        for (byte[] hash : hashes) {
            known |= MessageDigest.isEqual(hash, given); // takes the same time wherever the two differ
        }
        return known;
    }
}
