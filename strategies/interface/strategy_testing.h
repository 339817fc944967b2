// A small application, its backup's manifest and its restore, for the tests of strategies.
#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/artifact.h"
#include "salvor/v1/manifest.pb.h"
#include "salvor/v1/object.pb.h"
#include "strategies/interface/strategy.h"

namespace salvor::strategies {

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

inline v1::Component DatabaseComponent() {
  return FromText<v1::Component>(R"(
    name: "db"
    postgres {
      connection { socket_directory: "/run/postgresql" user: "backup" }
      databases: "shop" databases: "Shop"
    }
    checks { name: "orders" sql { database: "shop" query: "SELECT count(*) > 0 FROM orders" expect: "t" } })");
}

inline v1::Component FilesComponent() {
  return FromText<v1::Component>(
      R"(name: "files" disk { paths: "/srv/shop" paths: "/etc/shop" exclude: "*.tmp" })");
}

inline v1::Component MariadbDatabases() {
  return FromText<v1::Component>(R"(
    name: "web"
    mariadb {
      connection { socket: "/run/mysqld/mysqld.sock" user: "backup" password_file: "/etc/salvor/web.password" }
      databases: "wordpress" databases: "stats"
    }
    checks { name: "posts" sql { database: "wordpress" query: "SELECT COUNT(*) > 0 FROM posts" expect: "1" } })");
}

inline v1::Component OwnProgram() {
  return FromText<v1::Component>(R"(
    name: "cache"
    action {
      program: "redis" settings { key: "socket" value: "/run/redis/redis.sock" }
      secrets { key: "password" value: "/etc/salvor/redis.password" }
    })");
}

inline v1::Component DummyChain() { return FromText<v1::Component>(R"(name: "nothing" dummy { steps: 3 })"); }

inline v1::ResticLocation Vault() {
  return FromText<v1::ResticLocation>(
      R"(repository: "/srv/vault" password_file: "/etc/salvor/vault.password")");
}

inline BackupRequest ABackupRequest() {
  BackupRequest request;
  request.run = request.backup = "backup-shop-20261121-101500-4f2a";
  request.location = Vault();
  return request;
}

inline v1::Manifest AHeader() {
  return FromText<v1::Manifest>(R"(
    format: 1 backup: "backup-shop-20261121-101500-4f2a" run: "backup-shop-20261121-101500-4f2a"
    application: "shop" environment: "host-a" salvor_version: "0.1.0")");
}

inline v1::Artifact AnArtifact(const std::string& component, const std::string& name, v1::Artifact::Kind kind,
                               const std::string& database = "") {
  v1::Artifact artifact;
  artifact.set_component(component);
  artifact.set_name(name);
  artifact.set_kind(kind);
  artifact.set_database(database);
  artifact.set_snapshot("1a2b3c4d" + std::string(56, '0'));
  artifact.set_sha256(std::string(32, 'x'));
  artifact.set_bytes(4096);
  artifact.mutable_consistent_at()->set_seconds(1795256100);  // 2026-11-21T10:15:00Z
  return artifact;
}

// The manifest that a backup of these components writes.
inline v1::Manifest AManifest(const std::vector<v1::Component>& components) {
  v1::Manifest manifest = AHeader();
  for (const v1::Component& component : components) {
    *manifest.add_components() = component;
    const std::string& name = component.name();
    if (component.has_postgres()) {
      *manifest.add_artifacts() = AnArtifact(name, name + ".globals", v1::Artifact::KIND_POSTGRES_GLOBALS);
      for (const std::string& database : component.postgres().databases()) {
        v1::Artifact dump =
            AnArtifact(name, name + ".dump." + database, v1::Artifact::KIND_POSTGRES_DUMP, database);
        dump.set_bytes(1'181'116'006);
        *dump.mutable_contents() = MakeContents("dump", v1::Artifact::ROLE_DATA);
        AddCount("row", 13'200'301, dump.mutable_contents());
        AddCount("table", 12, dump.mutable_contents());
        dump.mutable_postgres()->set_server_version_num(150018);
        dump.mutable_coverage()->add_not_covered("public.blob");
        *manifest.add_artifacts() = dump;
        *manifest.add_artifacts() =
            AnArtifact(name, dump.name() + ".details", v1::Artifact::KIND_POSTGRES_DETAILS, database);
      }
    }
    if (component.has_mariadb()) {
      v1::Artifact dump = AnArtifact(name, name + ".dump", v1::Artifact::KIND_UNSPECIFIED);
      *dump.mutable_contents() = MakeContents("dump", v1::Artifact::ROLE_DATA);
      AddCount("row", 4711, dump.mutable_contents());
      AddCount("table", 12, dump.mutable_contents());
      dump.mutable_mariadb()->set_server_version_num(101119);
      *manifest.add_artifacts() = dump;
      v1::Artifact details = AnArtifact(name, name + ".dump.details", v1::Artifact::KIND_UNSPECIFIED);
      *details.mutable_contents() = MakeContents("dump details", v1::Artifact::ROLE_DETAILS);
      *manifest.add_artifacts() = details;
    }
    if (component.has_action()) {
      *manifest.add_artifacts() = AnArtifact(name, name + ".dump.rdb", v1::Artifact::KIND_UNSPECIFIED);
      v1::Artifact record = AnArtifact(name, name + ".record", v1::Artifact::KIND_UNSPECIFIED);
      *record.mutable_contents() = MakeContents("record", v1::Artifact::ROLE_DETAILS);
      record.mutable_program()->set_program(component.action().program());
      *manifest.add_artifacts() = record;
    }
    if (component.has_disk()) {
      v1::Artifact tree = AnArtifact(name, name + ".tree", v1::Artifact::KIND_TREE);
      *tree.mutable_contents() = MakeContents("files", v1::Artifact::ROLE_DATA);
      AddCount("file", 120, tree.mutable_contents());
      tree.mutable_consistent_until()->set_seconds(1795256107);
      *manifest.add_artifacts() = tree;
      *manifest.add_artifacts() = AnArtifact(name, name + ".tree.details", v1::Artifact::KIND_TREE_DETAILS);
    }
  }
  return manifest;
}

// The manifest without the artifacts of that kind, which it names as missing.
inline void Lose(v1::Artifact::Kind kind, const std::string& database, const std::string& component,
                 const std::string& title, v1::Manifest* manifest) {
  google::protobuf::RepeatedPtrField<v1::Artifact> kept;
  for (const v1::Artifact& artifact : manifest->artifacts()) {
    if (artifact.kind() != kind || artifact.database() != database) *kept.Add() = artifact;
  }
  *manifest->mutable_artifacts() = kept;
  v1::MissingArtifact* missing = manifest->add_missing();
  missing->set_component(component);
  missing->set_title(title);
  missing->set_why("pg_dump: connection refused");
}

inline RestoreRequest ARestoreRequest(const v1::Manifest& manifest,
                                      const std::string& run = "restore-shop-1") {
  RestoreRequest request;
  request.run = run;
  request.location = Vault();
  request.manifest = &manifest;
  return request;
}

// Its steps of that purpose, in order.
inline std::vector<v1::Step> StepsFor(const Fragment& fragment, v1::Purpose purpose) {
  std::vector<v1::Step> steps;
  for (const v1::Step& step : fragment.steps) {
    if (step.purpose() == purpose) steps.push_back(step);
  }
  return steps;
}

// "field: message" each; with " (incomplete)" when only the whole component is judged by it.
inline std::vector<std::string> ProblemLines(const std::vector<FieldProblem>& problems) {
  std::vector<std::string> lines;
  for (const FieldProblem& problem : problems) {
    lines.push_back(problem.field + ": " + problem.message + (problem.incomplete ? " (incomplete)" : ""));
  }
  return lines;
}

}  // namespace salvor::strategies
