/** How many uploaded files there are, counted beside other work: so that progress can be told, and for nothing else. */
import type { UploadPlace } from '../../files/upload/upload-place.js';
import { withUploadSource } from './open-uploads.js';

/** What cannot be listed here is told where it is read. */
export async function countUploads(place: UploadPlace, stop: AbortSignal, onCounted: (files: number, bytes: number) => void): Promise<void> {
  let files = 0;
  let bytes = 0;
  try {
    await withUploadSource(place, stop, async (source) => {
      for await (const { size } of source.files(() => undefined)) {
        stop.throwIfAborted();
        files += 1;
        bytes += size;
      }
    });
  } catch {
    return;
  }
  onCounted(files, bytes);
}
