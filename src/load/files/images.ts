/** Images by libvips, as Zulip itself reads them: headers, and the larger avatar that its own uploads have. */
import type Sharp from 'sharp';

export interface ImageSize {
  /** As shown: an EXIF orientation may turn it. */
  readonly width: number;
  readonly height: number;
  readonly frames: number;
}

/** Pixels of an avatar's sides (zerver/lib/thumbnail.py, DEFAULT_AVATAR_SIZE and MEDIUM_AVATAR_SIZE). */
export const SIDES = { '.png': 100, '-medium.png': 500 } as const;

/** What stands behind the hash in the name of an avatar's file. */
export type AvatarSize = keyof typeof SIDES;

/** The library is loaded when there are images. */
let loading: Promise<typeof Sharp> | undefined;

async function sharp(): Promise<typeof Sharp> {
  loading ??= import('sharp').then(({ default: library }) => {
    // Files are many and small: one thread each, and nothing is read twice.
    library.concurrency(1);
    library.cache(false);
    return library;
  });
  return loading;
}

/** Of the header alone; undefined for what is no image. */
export async function imageSize(file: string): Promise<ImageSize | undefined> {
  const library = await sharp();
  try {
    const { width, height, pages = 1, orientation = 1 } = await library(file).metadata();
    // 5 to 8 lie on their side.
    return orientation >= 5 ? { width: height, height: width, frames: pages } : { width, height, frames: pages };
  } catch {
    return undefined;
  }
}

/** A square out of the middle; undefined for what is no image. */
export async function avatarImage(file: string, size: AvatarSize): Promise<Buffer | undefined> {
  const library = await sharp();
  try {
    return await library(file).rotate().resize(SIDES[size], SIDES[size], { fit: 'cover', position: 'centre' }).png().toBuffer();
  } catch {
    return undefined;
  }
}

/** The first frame of an animated emoji, for those who want nothing to move. */
export async function stillImage(file: string): Promise<Buffer | undefined> {
  const library = await sharp();
  return library(file).png().toBuffer().catch(() => undefined);
}
