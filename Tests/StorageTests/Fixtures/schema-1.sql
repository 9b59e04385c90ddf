-- A store as schema 1 left it (no is_latest): two incidents, the first with two records. Never edit: it stands for files in the field.
CREATE TABLE decisions (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  revision INTEGER NOT NULL,
  time INTEGER NOT NULL,
  first_time INTEGER NOT NULL,
  last_time INTEGER NOT NULL,
  source TEXT,
  source_low BLOB,
  source_high BLOB,
  user TEXT,
  session TEXT,
  host TEXT,
  rule TEXT NOT NULL,
  severity INTEGER NOT NULL,
  confidence INTEGER NOT NULL,
  action TEXT NOT NULL,
  matches INTEGER NOT NULL,
  record TEXT NOT NULL,
  UNIQUE (id, revision)
);
CREATE INDEX decisions_time ON decisions (time, sequence, severity, confidence, action);
CREATE INDEX decisions_source ON decisions (source_low) WHERE source_low IS NOT NULL;
CREATE INDEX decisions_user ON decisions (user, time) WHERE user IS NOT NULL;
CREATE INDEX decisions_rule ON decisions (rule, time);
CREATE TABLE checkpoints (
  source TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL,
  lines INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE meta (
  key TEXT PRIMARY KEY NOT NULL,
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY);
INSERT INTO grdb_migrations VALUES ('1: decisions, checkpoints, meta');
INSERT INTO decisions VALUES (1, 'd3f9a1c2b4e5d607f', 1, 1767571000000000000, 1767571000000000000, 1767571000000000000, '192.0.2.7', x'04000000000000000000000000c0000207', x'04000000000000000000000000c0000207', NULL, NULL, 'web1', 'ATR-2026-90001', 3, 956, 'notify', 12, '{"@timestamp":"2026-01-05T00:00:19Z","event.kind":"alert","panguard.decision.id":"d3f9a1c2b4e5d607f","panguard.decision.revision":1,"rule.id":"ATR-2026-90001","rule.name":"SSH brute force from one address","event.severity":4,"rule.severity":"high","rule.category":"credential-access","threat.technique.id":["T1110.001","T1021.004"],"source.ip":"192.0.2.7","host.name":"web1","confidence":0.956,"panguard.trust":"claimed","action":"notify","action_reason":"confidence is at least 0.900, but a line that any local user could have written cannot cause a block","matches":12,"observed":12,"threshold":5,"first_seen":"2026-01-04T23:58:00.250Z","last_seen":"2026-01-05T00:00:19Z","summary":"12 failed attempts in 10m (threshold 5)","signals":[{"name":"prior","family":"prior","weight_millinats":-2197,"contribution_millinats":-2197,"attested":true,"detail":"nothing known"},{"name":"ATR-2026-90001","family":"ssh-authentication","weight_millinats":4639,"contribution_millinats":4639,"attested":false,"detail":"12 failed attempts in 10m (threshold 5)"},{"name":"ATR-2026-90004","family":"ssh-authentication","weight_millinats":2602,"contribution_millinats":650,"attested":false,"detail":"6 different accounts tried"}],"evidence":[{"source":"/var/log/auth.log","offset":18230,"length":87,"time":"2026-01-05T00:00:01Z","fingerprint":"b32b9d8903f82aa9474d0a1dc74442c2"},{"source":"/var/log/auth.log","offset":18318,"length":101,"time":"2026-01-05T00:00:19Z","fingerprint":"b9bad140378100c1556879a000f94e9c"}],"evidence_total":12,"hashes":{"engine":"0.1.0","rules":"6c1f0c6f9a2a4e0db37f4d0f3c2b1a99","configuration":"0a4f5e6d7c8b9a00112233445566778f","baseline":"none"}}');
INSERT INTO decisions VALUES (2, 'd3f9a1c2b4e5d607f', 3, 1767571219000000000, 1767571219000000000, 1767571219000000000, '192.0.2.7', x'04000000000000000000000000c0000207', x'04000000000000000000000000c0000207', NULL, NULL, 'web1', 'ATR-2026-90001', 3, 956, 'notify', 12, '{"@timestamp":"2026-01-05T00:00:19Z","event.kind":"alert","panguard.decision.id":"d3f9a1c2b4e5d607f","panguard.decision.revision":3,"rule.id":"ATR-2026-90001","rule.name":"SSH brute force from one address","event.severity":4,"rule.severity":"high","rule.category":"credential-access","threat.technique.id":["T1110.001","T1021.004"],"source.ip":"192.0.2.7","host.name":"web1","confidence":0.956,"panguard.trust":"claimed","action":"notify","action_reason":"confidence is at least 0.900, but a line that any local user could have written cannot cause a block","matches":12,"observed":12,"threshold":5,"first_seen":"2026-01-04T23:58:00.250Z","last_seen":"2026-01-05T00:00:19Z","summary":"12 failed attempts in 10m (threshold 5)","signals":[{"name":"prior","family":"prior","weight_millinats":-2197,"contribution_millinats":-2197,"attested":true,"detail":"nothing known"},{"name":"ATR-2026-90001","family":"ssh-authentication","weight_millinats":4639,"contribution_millinats":4639,"attested":false,"detail":"12 failed attempts in 10m (threshold 5)"},{"name":"ATR-2026-90004","family":"ssh-authentication","weight_millinats":2602,"contribution_millinats":650,"attested":false,"detail":"6 different accounts tried"}],"evidence":[{"source":"/var/log/auth.log","offset":18230,"length":87,"time":"2026-01-05T00:00:01Z","fingerprint":"b32b9d8903f82aa9474d0a1dc74442c2"},{"source":"/var/log/auth.log","offset":18318,"length":101,"time":"2026-01-05T00:00:19Z","fingerprint":"b9bad140378100c1556879a000f94e9c"}],"evidence_total":12,"hashes":{"engine":"0.1.0","rules":"6c1f0c6f9a2a4e0db37f4d0f3c2b1a99","configuration":"0a4f5e6d7c8b9a00112233445566778f","baseline":"none"}}');
INSERT INTO decisions VALUES (5, 'd00c0ffee00c0ffee', 1, 1767598200123456789, 1767598200123456789, 1767598200123456789, '2001:db8:1:2::/64', x'0620010db8000100020000000000000000', x'0620010db800010002ffffffffffffffff', 'alice', '42', NULL, 'ATR-2026-90020', 4, 826, 'block_ip', 1, '{"@timestamp":"2026-01-05T07:30:00.123456789Z","event.kind":"alert","panguard.decision.id":"d00c0ffee00c0ffee","panguard.decision.revision":1,"rule.id":"ATR-2026-90020","rule.name":"SQL injection","event.severity":5,"rule.severity":"critical","rule.category":"web-attack","threat.technique.id":["T1190","T9999"],"source.network":"2001:db8:1:2::/64","user.name":"alice","session.id":"42","confidence":0.826,"panguard.trust":"attested","action":"block_ip","action_reason":"confidence 0.900 or more from a deterministic rule","matches":1,"observed":1,"threshold":1,"first_seen":"2026-01-05T07:30:00.123456789Z","last_seen":"2026-01-05T07:30:00.123456789Z","summary":"url.query matches /union\\s+select/","signals":[{"name":"prior","family":"prior","weight_millinats":-2197,"contribution_millinats":-2197,"attested":true,"detail":"nothing known"},{"name":"ATR-2026-90020","family":"web-injection","weight_millinats":5141,"contribution_millinats":5141,"attested":true,"detail":"url.query matches /union\\s+select/"},{"name":"ATR-2026-90050","family":"known-client","weight_millinats":-1386,"contribution_millinats":-1386,"attested":true,"detail":"the address logged in before"}],"evidence":[{"source":"journal","offset":77,"length":22,"time":"2026-01-05T07:30:00.123456789Z","fingerprint":"aba8498b2ffc6f60bc64d9087fb38fd1"}],"evidence_total":1,"hashes":{"engine":"0.1.0","rules":"6c1f0c6f9a2a4e0db37f4d0f3c2b1a99","configuration":"0a4f5e6d7c8b9a00112233445566778f","baseline":"none"}}');
INSERT INTO checkpoints VALUES ('/var/log/auth.log', 'v1:2049:131:4096', 812);
