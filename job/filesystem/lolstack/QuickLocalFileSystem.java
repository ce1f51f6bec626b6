package lolstack;

import java.io.IOException;
import java.net.URI;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.util.EnumSet;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsAction;
import org.apache.hadoop.fs.permission.FsPermission;

/**
 * Hadoop's local file system, except that it sets file permissions with Java's own API, that a renamed file is durable,
 * and that no file has a checksum in another one.
 *
 * <p>Without Hadoop's native library, which PySpark does not include, the original starts a `chmod` process for each
 * file that it creates: more than 100 a second for a stateful streaming query.
 *
 * <p>Spark writes a file of a checkpoint under another name and renames it. Without a sync (fsync) before, the file can
 * be empty after a power failure, and the checkpoint corrupt.
 *
 * <p>Hadoop renames a file and its checksum one after the other. A crash between the two, while a repeated batch replaces
 * its files, would leave a file that cannot be read any more. Spark's default manager of checkpoints has none either.
 */
public final class QuickLocalFileSystem extends LocalFileSystem {
  public QuickLocalFileSystem() {
    super(new Raw());
  }

  @Override
  public void initialize(URI name, Configuration configuration) throws IOException {
    super.initialize(name, configuration); // it sets the configuration's choice, by default to verify
    setWriteChecksum(false);
    setVerifyChecksum(false); // those that an earlier version has left
  }

  private static final class Raw extends RawLocalFileSystem {
    @Override
    public void setPermission(Path path, FsPermission permission) throws IOException {
      Set<PosixFilePermission> permissions = EnumSet.noneOf(PosixFilePermission.class);
      add(permissions, permission.getUserAction(), "OWNER");
      add(permissions, permission.getGroupAction(), "GROUP");
      add(permissions, permission.getOtherAction(), "OTHERS");
      Files.setPosixFilePermissions(pathToFile(path).toPath(), permissions);
    }

    @Override
    public boolean rename(Path source, Path target) throws IOException {
      sync(source);
      boolean renamed = super.rename(source, target);
      sync(target.getParent());
      return renamed;
    }

    /** Write a file's content, or a folder's entries, to the disk. */
    private void sync(Path path) throws IOException {
      try (FileChannel channel = FileChannel.open(pathToFile(path).toPath(), StandardOpenOption.READ)) {
        channel.force(true);
      }
    }

    private static void add(Set<PosixFilePermission> permissions, FsAction action, String whose) {
      for (FsAction one : new FsAction[] {FsAction.READ, FsAction.WRITE, FsAction.EXECUTE}) {
        if (action.implies(one)) {
          permissions.add(PosixFilePermission.valueOf(whose + "_" + one));
        }
      }
    }
  }
}
