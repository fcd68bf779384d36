/**
 * Keys are data from strangers. A key becomes a path of the export only as it stands or not at all: encoding it would
 * break the tie between records.json and attachment.json, which both name the file by its key.
 */

/** Bytes of one name that every usual file system takes. */
const NAME_BYTES = 255;

/** Bytes of a whole path: Linux's PATH_MAX less room for the export's own directory. */
const PATH_BYTES = 3072;

/** Control characters, backslash (a separator to Windows and to some archivers) and NUL. */
const FORBIDDEN = /[\u0000-\u001f\u007f\\]/;

/** Half of a surrogate pair alone: its UTF-8 is a replacement character, so two keys would become one name. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Why `key` cannot be a relative path below a directory; undefined when it can. */
export function unsafe(key: string): string | undefined {
  if (key === '') return 'the key is empty';
  if (FORBIDDEN.test(key) || LONE_SURROGATE.test(key)) return 'the key has a character that no path may have';
  if (Buffer.byteLength(key) > PATH_BYTES) return `the key has more than ${PATH_BYTES} bytes`;
  for (const name of key.split('/')) {
    if (name === '' || name === '.' || name === '..') return 'the key has an empty, `.` or `..` part';
    if (Buffer.byteLength(name) > NAME_BYTES) return `a name in the key has more than ${NAME_BYTES} bytes`;
  }
  return undefined;
}
