//! Reads the docstrings of all config types, for `sluice config schema` and `sluice explain`: what a field means is written
//! once, where it is declared. Config types are those that derive `Deserialize` and `Serialize`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use syn::{Attribute, Expr, Item, ItemEnum, ItemStruct, Lit, Meta};

/// Where they are declared.
const ROOMS: [&str; 6] = ["config", "pipeline", "receivers", "processors", "exporters", "extensions"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..");
    let mut types = Vec::new();
    for room in ROOMS {
        let sources = root.join(room).join("src");
        println!("cargo::rerun-if-changed={}", sources.display());
        read(&sources, &mut types)?;
    }
    types.sort();
    types.dedup();
    for pair in types.windows(2) {
        if let [a, b] = pair
            && (&a.name, a.names()) == (&b.name, b.names())
        {
            return Err(format!(
                "two config types {} have the same fields and other docstrings: {}",
                a.name,
                a.names()
            )
            .into());
        }
    }
    let mut out = String::new();
    for of in &types {
        writeln!(out, "{}\t{}\t{}", of.name, of.names(), of.text)?;
        for (member, text) in of.members.iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(out, "\t{member}\t{text}")?;
        }
    }
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("descriptions.txt"), out)?;
    Ok(())
}

/// A type: its name, members by their names in configuration, and the texts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Type {
    name: String,
    members: Vec<(String, String)>,
    text: String,
}

impl Type {
    fn names(&self) -> String {
        self.members.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(",")
    }
}

fn read(folder: &Path, types: &mut Vec<Type>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                read(&path, types)?;
            }
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("tests.rs") {
            continue;
        }
        let source = fs::read_to_string(&path)?;
        if source.contains("Deserialize") {
            let file = syn::parse_file(&source).map_err(|error| format!("{}: {error}", path.display()))?;
            types.extend(file.items.iter().filter_map(of_item));
        }
    }
    Ok(())
}

fn of_item(item: &Item) -> Option<Type> {
    match item {
        Item::Struct(item) if is_config(&item.attrs) => Some(of_struct(item)),
        Item::Enum(item) if is_config(&item.attrs) => Some(of_enum(item)),
        _ => None,
    }
}

fn of_struct(item: &ItemStruct) -> Type {
    let rule = rename_all(&item.attrs);
    let members = item.fields.iter().filter_map(|field| {
        let ident = field.ident.as_ref()?.to_string();
        Some((rename(&field.attrs).unwrap_or_else(|| cased(&ident, rule.as_deref())), text(&field.attrs)))
    });
    Type { name: item.ident.to_string(), members: members.collect(), text: text(&item.attrs) }
}

fn of_enum(item: &ItemEnum) -> Type {
    let rule = rename_all(&item.attrs);
    let members = item.variants.iter().map(|variant| {
        let name = rename(&variant.attrs).unwrap_or_else(|| cased(&variant.ident.to_string(), rule.as_deref()));
        (name, text(&variant.attrs))
    });
    Type { name: item.ident.to_string(), members: members.collect(), text: text(&item.attrs) }
}

fn is_config(attrs: &[Attribute]) -> bool {
    let derives = |name: &str| {
        attrs.iter().filter(|attr| attr.path().is_ident("derive")).any(|attr| match &attr.meta {
            Meta::List(list) => list.tokens.clone().into_iter().any(|token| token.to_string() == name),
            _ => false,
        })
    };
    derives("Deserialize") && derives("Serialize")
}

/// The value of `key` in the `serde` attributes.
fn serde(attrs: &[Attribute], key: &str) -> Option<String> {
    let mut found = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("serde")) {
        // What it cannot read, such as `bound(…)`, is not used by config types: their names would be missing, which a test sees.
        let _ = attr.parse_nested_meta(|meta| {
            let value = meta.value().and_then(|value| value.parse::<Lit>());
            if let (true, Ok(Lit::Str(text))) = (meta.path.is_ident(key), value) {
                found = Some(text.value());
            }
            Ok(())
        });
    }
    found
}

fn rename(attrs: &[Attribute]) -> Option<String> {
    serde(attrs, "rename")
}

fn rename_all(attrs: &[Attribute]) -> Option<String> {
    serde(attrs, "rename_all")
}

/// A name by serde's rules that are in use here.
fn cased(ident: &str, rule: Option<&str>) -> String {
    let ident = ident.trim_start_matches("r#");
    let words = |between: &str| {
        let mut out = String::new();
        for c in ident.chars() {
            if c.is_uppercase() && !out.is_empty() {
                out.push_str(between);
            }
            out.extend(c.to_lowercase());
        }
        out
    };
    match rule {
        Some("lowercase") => words(""),
        Some("snake_case") => words("_"),
        Some("kebab-case") => words("-"),
        _ => ident.to_owned(),
    }
}

/// A docstring in one line; paragraphs are separated by `\n`. Links to code become its name, and references to the
/// specifications are left out.
fn text(attrs: &[Attribute]) -> String {
    let mut out = String::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attr.meta else { continue };
        let Expr::Lit(literal) = &pair.value else { continue };
        let Lit::Str(line) = &literal.lit else { continue };
        let line = line.value().replace('\t', " ");
        match line.trim() {
            "" if out.is_empty() => {}
            "" => out.push_str("\\n"),
            line => {
                if !out.is_empty() && !out.ends_with("\\n") {
                    out.push(' ');
                }
                out.push_str(line);
            }
        }
    }
    let out = without_references(out.trim_end_matches("\\n"));
    // A name in configuration says nothing new.
    let name = out.trim_end_matches('.').strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    if name.is_some_and(|name| !name.contains('`')) { String::new() } else { out }
}

/// Without `(security §6)` and the brackets of links.
fn without_references(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find(" (") {
        let (before, from) = rest.split_at(open);
        let Some(close) = from.find(')') else { break };
        out.push_str(before);
        if !from[..close].contains('§') {
            out.push_str(&from[..=close]);
        }
        rest = &from[close + 1..];
    }
    out.push_str(rest);
    out.replace("[`", "`").replace("`]", "`")
}
