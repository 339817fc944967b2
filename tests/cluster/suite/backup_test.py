"""A PostgreSQL of 100,000 rows on a CSI volume, backed up in each of Velero's three ways, survives its namespace."""

import unittest

import database
from support import ClusterTest, delete_namespace, volume_info

CLAIM = "data-db-0"


class Backups(ClusterTest):
    def survives(self, name: str, expected: dict[str, object], *options: str) -> None:
        """Under its own name and, beside it, under another; expected: how Velero has to have saved the volume."""
        space, twin = self.namespace(name), self.namespace(f"{name}-twin", make=False)
        before = database.start(space)
        self.assertTrue(before.startswith(f"{database.ROWS}|"), before)
        backup = self.back_up(name, space, *options)
        saved = volume_info(backup)[CLAIM]
        self.assertEqual(saved | expected, saved)
        delete_namespace(space)
        self.restore(f"{name}-same", backup)
        self.assertEqual(database.content(space), before)
        self.restore(f"{name}-twin", backup, "--namespace-mappings", f"{space}:{twin}")
        self.assertEqual(database.content(twin), before)
        # Two volumes, not one seen twice.
        database.query(twin, "truncate orders")
        self.assertEqual(database.content(space), before)

    def test_file_system_backup(self):
        self.survives("files", {"backupMethod": "PodVolumeBackup"},
                      "--default-volumes-to-fs-backup", "--snapshot-volumes=false")

    def test_csi_snapshot(self):
        self.survives("snapshot", {"backupMethod": "CSISnapshot", "snapshotDataMoved": False})

    def test_csi_snapshot_with_data_movement(self):
        self.survives("moved", {"backupMethod": "CSISnapshot", "snapshotDataMoved": True}, "--snapshot-move-data")


if __name__ == "__main__":
    unittest.main()
