/** One row of zerver_imageattachment for each uploaded image: without it the new server makes no thumbnails of it. */
import { join } from 'node:path';
import type pg from 'pg';
import { inParallel } from '../../in-parallel.js';
import { tellProgress, tellWarning } from '../../narration.js';
import { newUploadPath, type RealmNumbers } from '../../remap/upload-path.js';
import { hasColumn, type TargetTables } from '../server/target-tables.js';
import type { LoadableExport } from '../source/loadable-export.js';
import { imageSize, type ImageSize } from './images.js';
import { IMAGE_TYPES } from './image-types.js';

/** Rows of one INSERT. */
const BATCH = 500;
/** Columns of zerver_imageattachment that are filled; that of the type has not been there always. */
export const IMAGE_COLUMNS = ['realm_id', 'path_id', 'original_width_px', 'original_height_px', 'frames', 'thumbnail_metadata', 'content_type'];

/** Headers read at once. */
const AT_ONCE = 8;

/**
 * In the transaction of the caller, in the order of the attachments; those that have one already are passed over.
 *
 * @param strays attachments of the export under another number than the realm's
 */
export async function addImageAttachments(client: pg.Client, { directory }: LoadableExport, realms: RealmNumbers, strays: readonly string[], tables: TargetTables, signal: AbortSignal): Promise<void> {
  const typed = hasColumn(tables, 'zerver_imageattachment', 'content_type');
  const before = new Map(strays.map((path) => [newUploadPath(path, realms), path]));
  for (let after = 0; ;) {
    const { rows } = await client.query<{ id: number; path: string; type: string }>(`
      SELECT id::float8 AS id, path_id AS path, content_type AS type FROM zerver_attachment a
      WHERE realm_id = $1 AND content_type = ANY ($2) AND id > $3 AND NOT EXISTS (SELECT FROM zerver_imageattachment i WHERE i.path_id = a.path_id) ORDER BY id LIMIT ${BATCH}`, [realms.new, IMAGE_TYPES, after]);
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.id;
    const sizes = new Map<string, ImageSize>();
    await inParallel(rows, AT_ONCE, async ({ path }) => {
      const inExport = before.get(path) ?? newUploadPath(path, { old: realms.new, new: realms.old });
      const size = await imageSize(join(directory, 'uploads', inExport));
      if (size === undefined) tellWarning(`uploads/${inExport} is called an image and is none: it gets no thumbnail`);
      else sizes.set(path, size);
    }, signal);
    const images = rows.flatMap(({ path, type }) => {
      const size = sizes.get(path);
      return size === undefined ? [] : [{ path, type, ...size }];
    });
    await client.query(`
      INSERT INTO zerver_imageattachment (${IMAGE_COLUMNS.slice(0, typed ? undefined : -1).join(', ')})
      SELECT $1, path, width, height, frames, '[]'${typed ? ', type' : ''} FROM jsonb_to_recordset($2) AS image(path text, width int, height int, frames int, type text, n int) ORDER BY n`,
    [realms.new, JSON.stringify(images.map((image, n) => ({ ...image, n })))]);
    tellProgress(images.length);
  }
}
