/** Types of images that Zulip makes thumbnails of (zerver/lib/thumbnail.py, THUMBNAIL_ACCEPT_IMAGE_TYPES). */

const BY_EXTENSION: Readonly<Record<string, string>> = {
  avif: 'image/avif', gif: 'image/gif', heic: 'image/heic', jpe: 'image/jpeg', jpeg: 'image/jpeg', jpg: 'image/jpeg', png: 'image/png', tif: 'image/tiff', tiff: 'image/tiff', webp: 'image/webp',
};

export const IMAGE_TYPES: readonly string[] = [...new Set(Object.values(BY_EXTENSION))];

/** What an image's file name says of its type; undefined for any other file. */
export function typeByName(name: string): string | undefined {
  return BY_EXTENSION[/\.(\w+)$/.exec(name)?.[1]?.toLowerCase() ?? ''];
}
