-- The tables of version 2, as that version made them.
CREATE TABLE split (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, version INTEGER NOT NULL, state BLOB NOT NULL,
  status TEXT NOT NULL, due INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX split_open ON split(due) WHERE status = 'open';
CREATE TABLE conversation (
  id TEXT PRIMARY KEY NOT NULL, day TEXT NOT NULL, start INTEGER NOT NULL, ended INTEGER,
  recorded INTEGER NOT NULL, record TEXT, outcome TEXT, passing INTEGER NOT NULL DEFAULT 0,
  bundle TEXT, status TEXT NOT NULL, segment INTEGER, fetch TEXT, due INTEGER NOT NULL,
  attempt INTEGER NOT NULL, objects INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
  lost INTEGER NOT NULL DEFAULT 0, extent INTEGER, grown INTEGER, together INTEGER,
  reported INTEGER NOT NULL DEFAULT 0, live INTEGER NOT NULL DEFAULT 0, announced INTEGER);
CREATE INDEX conversation_wanted ON conversation(due, id)
  WHERE status = 'found' AND outcome IS NULL AND fetch IS NULL;
CREATE INDEX conversation_fetching ON conversation(fetch)
  WHERE status = 'found' AND outcome IS NULL AND fetch IS NOT NULL;
CREATE INDEX conversation_ready ON conversation(id)
  WHERE status = 'found' AND outcome IS NOT NULL;
CREATE INDEX conversation_settled ON conversation(day, id) WHERE status = 'settled';
CREATE INDEX conversation_closing ON conversation(segment) WHERE status = 'closing';
CREATE INDEX conversation_kept ON conversation(day, segment) WHERE status = 'kept';
CREATE INDEX conversation_grown ON conversation(segment) WHERE grown IS NOT NULL;
CREATE INDEX conversation_losses ON conversation(id) WHERE lost = 1;
CREATE INDEX conversation_live ON conversation(start) WHERE live = 1;
CREATE INDEX conversation_bundle ON conversation(bundle) WHERE bundle IS NOT NULL;
CREATE TABLE artifact (
  key TEXT PRIMARY KEY, conversation TEXT, split TEXT NOT NULL, status TEXT NOT NULL,
  code TEXT, message TEXT, passing INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX artifact_conversation ON artifact(conversation);
CREATE INDEX artifact_pending ON artifact(split) WHERE status = 'pending';
CREATE TABLE object (
  sink TEXT NOT NULL, key TEXT NOT NULL, member TEXT NOT NULL, conversation TEXT NOT NULL,
  recording TEXT NOT NULL, content_type TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
  etag TEXT, stored_size INTEGER, stored_sha256 TEXT, told TEXT, note TEXT, aside INTEGER NOT NULL DEFAULT 0,
  file TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (sink, key, member, conversation)) WITHOUT ROWID;
CREATE INDEX object_conversation ON object(conversation);
CREATE TABLE owed (
  sink TEXT NOT NULL, artifact TEXT NOT NULL, split TEXT NOT NULL, conversation TEXT,
  code TEXT, message TEXT, PRIMARY KEY (sink, artifact)) WITHOUT ROWID;
CREATE INDEX owed_conversation ON owed(conversation);
CREATE INDEX owed_artifact ON owed(artifact);
CREATE TABLE filing (segment INTEGER NOT NULL, sink TEXT NOT NULL, receipt BLOB,
  PRIMARY KEY (segment, sink)) WITHOUT ROWID;
CREATE TABLE replaced (segment INTEGER NOT NULL, sink TEXT NOT NULL, by INTEGER NOT NULL,
  PRIMARY KEY (segment, sink)) WITHOUT ROWID;
CREATE INDEX replaced_by ON replaced(by);
CREATE TABLE outdated (segment INTEGER PRIMARY KEY, day TEXT NOT NULL);
CREATE TABLE name (id TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE segment (number INTEGER PRIMARY KEY, day TEXT NOT NULL);
CREATE TABLE earlier (conversation TEXT PRIMARY KEY, attempt INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE counted (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE search (number INTEGER PRIMARY KEY, start INTEGER NOT NULL, until INTEGER NOT NULL,
  begun INTEGER NOT NULL, done INTEGER);
CREATE TABLE source_count (start INTEGER NOT NULL, until INTEGER NOT NULL, conversations INTEGER NOT NULL,
  at INTEGER NOT NULL, PRIMARY KEY (start, until)) WITHOUT ROWID;
CREATE TABLE sink (name TEXT PRIMARY KEY, identity TEXT NOT NULL, takes TEXT NOT NULL, marker TEXT,
  lapsed INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE wanting (conversation TEXT NOT NULL, sink TEXT NOT NULL, further INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (conversation, sink)) WITHOUT ROWID;
CREATE INDEX wanting_sink ON wanting(sink);
CREATE TABLE voided (segment INTEGER NOT NULL, sink TEXT NOT NULL, day TEXT NOT NULL,
  PRIMARY KEY (segment, sink)) WITHOUT ROWID;
CREATE TABLE alike (conversation TEXT PRIMARY KEY, day TEXT NOT NULL, outcome TEXT NOT NULL,
  attempt INTEGER NOT NULL, objects INTEGER NOT NULL, bytes INTEGER NOT NULL, extent INTEGER) WITHOUT ROWID;
PRAGMA user_version = 2;
