/** What the operating system refuses with, in words. */

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory', EACCES: 'this user may not', EPERM: 'this user may not', EISDIR: 'it is a directory', ENOTDIR: 'a part of its path is no directory', EEXIST: 'it is there already',
  ENOSPC: 'no space is left', EDQUOT: 'the quota is used up', EROFS: 'the file system is read-only', ELOOP: 'too many symbolic links', ENAMETOOLONG: 'its name is too long', EMFILE: 'too many files are open',
  ENFILE: 'too many files are open', EIO: 'the disk or the file system fails', ESTALE: 'the network file system has lost it', EBUSY: 'it is in use', ENOTEMPTY: 'it is not empty', EFBIG: 'the file would be too large',
  EXDEV: 'it is on another file system', EINVAL: 'the system does not take that name or operation', ETXTBSY: 'it is being executed', ENXIO: 'nobody reads at its other end', ETIMEDOUT: 'the file system does not answer',
  ECONNREFUSED: 'nobody listens there', ENOTFOUND: 'there is no such host', ECONNRESET: 'the connection was cut', EPIPE: 'the reader is gone', EAI_AGAIN: 'the name cannot be looked up now',
};

const DISK_FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** True where a file finds no room: on the disk, in the quota, or by the limit of this process (ulimit -f). */
export function isDiskFull(error: unknown): boolean {
  return DISK_FULL.has(((error ?? {}) as { code?: string }).code ?? '');
}

/** True where this user lacks a right. */
export function isForbidden(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: string };
  return code === 'EACCES' || code === 'EPERM';
}

/** `there is no such file or directory (ENOENT)`. @param error of node:fs and its like */
export function ioReason(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code !== 'string') return 'for an unknown reason';
  const words = REASONS[code];
  return words === undefined ? code : `${words} (${code})`;
}
