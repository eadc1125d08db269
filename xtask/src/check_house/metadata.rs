//! The dependency graph as cargo resolves it for this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::cargo::cargo;

/// The crates of the workspace, and every package they are built from.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) crates: Vec<HouseCrate>,
    pub(crate) packages: Vec<Package>,
}

/// One crate of the workspace. Dependencies of tests do not count.
#[derive(Debug)]
pub(crate) struct HouseCrate {
    pub(crate) name: String,
    pub(super) manifest: PathBuf,
    /// Crates of the workspace it names.
    pub(super) builds_on: BTreeSet<String>,
    /// Every package it is built from, with all features on.
    pub(crate) reaches: BTreeSet<String>,
    /// Packages it names and needs whatever its features.
    pub(super) always: BTreeSet<String>,
}

/// One package.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    id: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Clone, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    optional: bool,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

/// What is linked in; `None` is the ordinary kind of dependency.
fn is_normal(kind: Option<&String>) -> bool {
    kind.is_none()
}

pub(crate) fn read() -> anyhow::Result<House> {
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1", "--locked", "--all-features"]);
    // Only what this machine builds: nothing has to be fetched for others.
    command.args(["--filter-platform", &host()?]);
    let output = command.output().context("starting cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    parse(&output.stdout)
}

fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("starting rustc -vV")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc -vV names no host")
}

fn parse(json: &[u8]) -> anyhow::Result<House> {
    let metadata: Metadata = serde_json::from_slice(json).context("reading cargo metadata")?;
    let graph = Graph::new(&metadata);
    let members = metadata.packages.iter().filter(|package| metadata.workspace_members.contains(&package.id));
    let crates = members.map(|package| house_crate(package, &graph)).collect();
    Ok(House { crates, packages: metadata.packages })
}

fn house_crate(package: &Package, graph: &Graph<'_>) -> HouseCrate {
    let normal = || package.dependencies.iter().filter(|dependency| is_normal(dependency.kind.as_ref()));
    let name = |dependency: &Dependency| dependency.name.clone();
    HouseCrate {
        name: package.name.clone(),
        manifest: package.manifest_path.clone(),
        builds_on: normal().filter(|dependency| dependency.path.is_some()).map(name).collect(),
        reaches: graph.reached_from(&package.id),
        always: normal().filter(|dependency| !dependency.optional).map(name).collect(),
    }
}

struct Graph<'m> {
    names: BTreeMap<&'m str, &'m str>,
    edges: BTreeMap<&'m str, Vec<&'m str>>,
}

impl<'m> Graph<'m> {
    fn new(metadata: &'m Metadata) -> Graph<'m> {
        let names = metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str()));
        let edges = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), normal_edges(node)));
        Graph { names: names.collect(), edges: edges.collect() }
    }

    fn reached_from(&self, start: &str) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = self.neighbours(start).to_vec();
        while let Some(package) = open.pop() {
            if seen.insert(package) {
                open.extend(self.neighbours(package));
            }
        }
        seen.into_iter()
            .filter_map(|package| self.names.get(package))
            .map(|name| (*name).to_owned())
            .collect()
    }

    fn neighbours(&self, package: &str) -> &[&'m str] {
        self.edges.get(package).map_or(&[], Vec::as_slice)
    }
}

fn normal_edges(node: &Node) -> Vec<&str> {
    let normal = |edge: &&Edge| edge.dep_kinds.iter().any(|kind| is_normal(kind.kind.as_ref()));
    node.deps.iter().filter(normal).map(|edge| edge.pkg.as_str()).collect()
}

#[cfg(test)]
impl Package {
    pub(super) fn licensed(name: &str, license: Option<&str>) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            id: name.to_owned(),
            manifest_path: PathBuf::new(),
            dependencies: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(id: &str, dependencies: &[(&str, Option<&str>, bool)]) -> serde_json::Value {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(|(name, kind, optional)| {
                let path = name.starts_with("house").then_some("/somewhere");
                json!({"name": name, "kind": kind, "optional": optional, "path": path})
            })
            .collect();
        json!({"name": id, "version": "1.0.0", "license": "MIT", "id": id, "manifest_path": "/x/Cargo.toml",
               "dependencies": dependencies})
    }

    fn node(id: &str, edges: &[(&str, Option<&str>)]) -> serde_json::Value {
        let deps: Vec<_> =
            edges.iter().map(|(to, kind)| json!({"pkg": to, "dep_kinds": [{"kind": kind}]})).collect();
        json!({"id": id, "deps": deps})
    }

    #[test]
    fn what_is_linked_is_followed_and_what_tests_need_is_not() {
        let json = json!({
            "packages": [
                package("house-a", &[("house-b", None, false), ("tokio", None, true), ("proptest", Some("dev"), false)]),
                package("house-b", &[]), package("deep", &[]), package("tokio", &[]), package("proptest", &[]),
            ],
            "workspace_members": ["house-a", "house-b"],
            "resolve": {"nodes": [
                node("house-a", &[("house-b", None), ("proptest", Some("dev"))]),
                node("house-b", &[("deep", None)]),
                node("deep", &[("tokio", None), ("house-b", None)]),
                node("proptest", &[("never", None)]),
            ]},
        });
        let house = parse(json.to_string().as_bytes()).unwrap();
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(house.crates.len(), 2);
        let first = &house.crates[0];
        assert_eq!(names(&first.builds_on), "house-b");
        assert_eq!(names(&first.reaches), "deep house-b tokio");
        assert_eq!(names(&first.always), "house-b");
    }
}
