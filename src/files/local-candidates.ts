/**
 * Which files of the local disk an export holds, and their records, as Zulip's own export has them.
 * Paths below the root: `files/PATH_ID`, `avatars/R/HASH.*`, `avatars/R/emoji/images/NAME`, `avatars/R/realm/*`.
 */
import { opendir } from 'node:fs/promises';
import type { Candidate } from './file-store.js';
import { byBytes, ownerRecord } from './records.js';
import { unreadable } from './uploads-tree.js';
import type { UploadsTree } from './uploads-tree.js';
import type { Area } from '../package/export-files.js';
import type { WantedAvatar, WantedFiles } from './wanted-files.js';

export function localCandidates(area: Area, wanted: WantedFiles, tree: UploadsTree): AsyncIterable<Candidate> {
  switch (area) {
    case 'uploads': return uploads(wanted);
    case 'avatars': return avatars(wanted, tree);
    case 'emoji': return emoji(wanted);
    case 'realm_icons': return realmIcons(wanted, tree);
  }
}

async function* uploads(wanted: WantedFiles): AsyncGenerator<Candidate> {
  const { realmId, uploads: rows, mayOwnUpload } = wanted;
  for await (const upload of rows()) {
    const { pathId, ownerId } = upload;
    const owner = ownerRecord(wanted, ownerId);
    yield {
      area: 'uploads', key: pathId, path: pathId, upload,
      ...(mayOwnUpload(ownerId) ? {} : { refused: 'owner' }),
      travels: true,
      judge: (info) => ({
        take: true,
        record: {
          realm_id: realmId, ...owner,
          s3_path: pathId, path: pathId, size: info.size, last_modified: info.lastModified, content_type: null,
        },
      }),
    };
  }
}

async function* avatars(wanted: WantedFiles, tree: UploadsTree): AsyncGenerator<Candidate> {
  const users = new Map<string, WantedAvatar>();
  for await (const user of wanted.avatars?.() ?? []) if (wanted.rules.uploadedAvatarsAlone ? user.avatarSource === 'U' : user.avatarSource !== 'G') users.set(user.hash, user);

  const { realmId } = wanted;
  const files: { name: string; user: WantedAvatar }[] = [];
  const seen = new Set<string>();
  for await (const name of visibleNames(tree, `avatars/${realmId}`)) {
    // HASH.*: `.png` and `.original`, not `-medium.png`, which the import makes anew.
    const hash = name.slice(0, name.indexOf('.'));
    const user = name.includes('.') ? users.get(hash) : undefined;
    if (user === undefined) continue;
    files.push({ name, user });
    seen.add(name);
  }
  for (const user of users.values()) {
    if (user.avatarSource !== 'U' || !wanted.isRealmUser(user.userId)) continue;
    // What is there of one of them is exported, what is not is asked for, to be told: of one that is wholly missing, by its picture.
    const absent = [`${user.hash}.png`, `${user.hash}.original`].filter((name) => !seen.has(name));
    for (const name of absent.length === 2 ? absent.slice(0, 1) : absent) files.push({ name, user });
  }

  files.sort((a, b) => byBytes(a.name, b.name));
  for (const { name, user } of files) {
    const path = `${realmId}/${name}`;
    const owner = ownerRecord(wanted, user.userId);
    const version = wanted.rules.avatarVersions ? { avatar_version: user.avatarVersion } : {};
    yield {
      area: 'avatars', key: path, path,
      travels: true,
      judge: (info) => ({
        take: true,
        record: {
          realm_id: realmId, ...owner, ...version,
          s3_path: path, path, size: info.size, last_modified: info.lastModified, content_type: null,
        },
      }),
    };
  }
}

async function* emoji({ realmId, rules, emoji: rows, emailOf }: WantedFiles): AsyncGenerator<Candidate> {
  // By path: rows of old servers may share a file.
  const candidates = new Map<string, Candidate>();
  for await (const { fileName, name, authorId, deactivated } of rows()) {
    for (const suffix of rules.emojiOriginals ? ['', '.original'] : ['']) {
      const path = `${realmId}/emoji/images/${fileName}${suffix}`;
      // Whoever is not in the export is nobody there.
      const author = authorId !== null && emailOf(authorId) !== undefined ? authorId : null;
      const record = { realm_id: realmId, author, path, s3_path: path, file_name: fileName, name, deactivated };
      candidates.set(path, { area: 'emoji', key: path, path, travels: true, judge: () => ({ take: true, record }) });
    }
  }
  yield* [...candidates.values()].sort((a, b) => byBytes(a.path, b.path));
}

async function* realmIcons({ realmId }: WantedFiles, tree: UploadsTree): AsyncGenerator<Candidate> {
  const names: string[] = [];
  for await (const name of visibleNames(tree, `avatars/${realmId}/realm`)) names.push(name);
  for (const name of names.sort(byBytes)) {
    const path = `${realmId}/${name}`;
    const record = { realm_id: realmId, path, s3_path: path };
    yield { area: 'realm_icons', key: `${realmId}/realm/${name}`, path, travels: true, judge: () => ({ take: true, record }) };
  }
}

/** Names in a directory that a shell's `*` would match, directories aside; none when it is not there. @throws Lost */
async function* visibleNames(tree: UploadsTree, path: string): AsyncGenerator<string> {
  const directory = await tree.findDirectory(path);
  if (directory === undefined) return;
  try {
    for await (const entry of await opendir(directory)) {
      if (!entry.name.startsWith('.') && !entry.isDirectory()) yield entry.name;
    }
  } catch (error) {
    throw unreadable(error);
  }
}
