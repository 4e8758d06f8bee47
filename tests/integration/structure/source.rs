//! Reads a crate's sources as modules and the names that each of them uses, without test code.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Item, Meta, UseTree, Visibility};

/// The files of a crate by their paths below its `src`, with their texts.
pub type Files = BTreeMap<String, String>;

/// A module: a file, or a module inside a file.
pub struct Module {
    /// Its path below the crate's root. The path of `lib.rs` is empty; `main.rs` counts as a module `main`.
    pub path: Vec<String>,
    pub file: usize,
    parent: Option<usize>,
    /// In the order of their `mod` lines.
    pub children: Vec<(String, usize)>,
    items: BTreeSet<String>,
    imports: Vec<Import>,
}

struct Import {
    /// `None` for `*`.
    name: Option<String>,
    path: Vec<String>,
}

pub struct SourceFile {
    pub name: String,
    /// Without the modules that are only for tests.
    pub lines: usize,
    /// The lines with a `cfg` of a feature.
    pub feature_lines: Vec<usize>,
}

/// A path in a module's code.
pub struct Reference {
    pub module: usize,
    pub path: Vec<String>,
    pub line: usize,
    /// `pub use`: the module exports the item, but need not use it itself.
    pub is_re_export: bool,
    /// A single name that is called: a function, even if a module has the same name.
    is_call: bool,
}

/// What a path refers to.
pub enum Target {
    /// This module, or an item that it defines.
    Inside(usize),
    /// Another crate, or a name that is not defined in this crate's modules: a local variable, a type
    /// parameter, the prelude.
    Outside(Vec<String>),
}

#[derive(Default)]
pub struct CrateSource {
    pub files: Vec<SourceFile>,
    pub modules: Vec<Module>,
    pub references: Vec<Reference>,
    /// Files without a `mod` line that leads to them.
    pub unreached: Vec<String>,
}

enum Member {
    Child(usize),
    Item,
    Import(Vec<String>),
}

/// The maximum depth of nested globs and re-exports.
const DEEPEST: usize = 16;

impl CrateSource {
    /// Reads the files that `lib.rs` and `main.rs` lead to.
    pub fn parse(files: &Files) -> Result<Self, String> {
        let mut reader = Reader {
            files,
            reached: BTreeSet::new(),
            source: Self::default(),
            at: At::default(),
            failure: None,
        };
        for root in ["lib.rs", "main.rs"] {
            if files.contains_key(root) {
                let path = if root == "main.rs" { vec!["main".to_owned()] } else { Vec::new() };
                reader.read_file(root, String::new(), path, None);
            }
        }
        if let Some(failure) = reader.failure {
            return Err(failure);
        }
        let mut source = reader.source;
        source.unreached = files.keys().filter(|name| !reader.reached.contains(*name)).cloned().collect();
        Ok(source)
    }

    pub fn target(&self, reference: &Reference) -> Target {
        if let ([name], true) = (&reference.path[..], reference.is_call) {
            return match self.member(reference.module, name, 0) {
                Some((owner, Member::Import(path))) => self.resolve(owner, &path, 1),
                _ => Target::Outside(reference.path.clone()),
            };
        }
        self.resolve(reference.module, &reference.path, 0)
    }

    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Target {
        if depth > DEEPEST {
            return Target::Outside(path.to_vec());
        }
        match path[0].as_str() {
            "::" => Target::Outside(path[1..].to_vec()),
            "crate" => {
                let mut root = module;
                while let Some(parent) = self.modules[root].parent {
                    root = parent;
                }
                self.walk(root, &path[1..], depth)
            }
            "self" => self.walk(module, &path[1..], depth),
            "super" => {
                let parent = self.modules[module].parent.unwrap_or(module);
                if path.len() == 1 {
                    return Target::Inside(parent);
                }
                let rest = &path[1..];
                if rest[0] == "super" {
                    self.resolve(parent, rest, depth)
                } else {
                    self.walk(parent, rest, depth)
                }
            }
            name if self.member(module, name, depth).is_some() => self.walk(module, path, depth),
            _ => Target::Outside(path.to_vec()),
        }
    }

    fn walk(&self, mut at: usize, path: &[String], depth: usize) -> Target {
        for (index, name) in path.iter().enumerate() {
            match self.member(at, name, depth) {
                Some((_, Member::Child(child))) => at = child,
                Some((owner, Member::Item)) => return Target::Inside(owner),
                Some((owner, Member::Import(mut import))) => {
                    import.extend_from_slice(&path[index + 1..]);
                    return self.resolve(owner, &import, depth + 1);
                }
                None => break,
            }
        }
        Target::Inside(at)
    }

    /// Returns the item with this name in a module, and the module that defines it (another one for a `*`).
    fn member(&self, module: usize, name: &str, depth: usize) -> Option<(usize, Member)> {
        let it = &self.modules[module];
        if let Some((_, child)) = it.children.iter().find(|(child, _)| child == name) {
            return Some((module, Member::Child(*child)));
        }
        if it.items.contains(name) {
            return Some((module, Member::Item));
        }
        if let Some(import) = it.imports.iter().find(|import| import.name.as_deref() == Some(name)) {
            let mut path = import.path.clone();
            if path[0] == name {
                // `use regex;`: a name can only refer to itself if it is the name of a crate.
                path.insert(0, "::".to_owned());
            }
            return Some((module, Member::Import(path)));
        }
        if depth > DEEPEST {
            return None;
        }
        it.imports.iter().filter(|import| import.name.is_none()).find_map(|glob| {
            match self.resolve(module, &glob.path[..glob.path.len() - 1], depth + 1) {
                Target::Inside(shown) if shown != module => self.member(shown, name, depth + 1),
                _ => None,
            }
        })
    }
}

/// The position of the reader.
#[derive(Clone, Default)]
struct At {
    module: usize,
    file: usize,
    /// The directory of the files of the module's children.
    directory: String,
}

struct Reader<'a> {
    files: &'a Files,
    reached: BTreeSet<String>,
    source: CrateSource,
    at: At,
    failure: Option<String>,
}

impl Reader<'_> {
    fn read_file(
        &mut self,
        name: &str,
        directory: String,
        path: Vec<String>,
        parent: Option<usize>,
    ) -> usize {
        let text = &self.files[name];
        self.reached.insert(name.to_owned());
        let file = self.source.files.len();
        let module = self.add_module(path, file, parent);
        self.source.files.push(SourceFile {
            name: name.to_owned(),
            lines: text.lines().count(),
            feature_lines: Vec::new(),
        });
        let outer = std::mem::replace(&mut self.at, At { module, file, directory });
        match syn::parse_file(text) {
            Ok(parsed) => self.visit_file(&parsed),
            Err(error) => {
                self.failure = Some(format!("{name}:{}: {error}", error.span().start().line));
            }
        }
        self.at = outer;
        module
    }

    fn add_module(&mut self, path: Vec<String>, file: usize, parent: Option<usize>) -> usize {
        self.source.modules.push(Module {
            path,
            file,
            parent,
            children: Vec::new(),
            items: BTreeSet::new(),
            imports: Vec::new(),
        });
        self.source.modules.len() - 1
    }

    /// Returns the file of a child module, and the directory of its own children.
    fn file_of(&self, child: &str) -> Option<(String, String)> {
        let directory = format!("{}{child}/", self.at.directory);
        let beside = format!("{}{child}.rs", self.at.directory);
        let inside = format!("{directory}mod.rs");
        [beside, inside].into_iter().find(|name| self.files.contains_key(name)).map(|name| (name, directory))
    }

    fn refer(&mut self, path: Vec<String>, line: usize, is_re_export: bool, is_call: bool) {
        self.source.references.push(Reference { module: self.at.module, path, line, is_re_export, is_call });
    }

    fn read_use(&mut self, tree: &UseTree, before: &[String], is_re_export: bool) {
        let mut path = before.to_vec();
        let (name, line) = match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                return self.read_use(&inner.tree, &path, is_re_export);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.read_use(tree, &path, is_re_export));
            }
            UseTree::Name(name) => {
                path.push(name.ident.to_string());
                (None, name.span().start().line)
            }
            UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                (Some(rename.rename.to_string()), rename.span().start().line)
            }
            UseTree::Glob(glob) => {
                path.push("*".to_owned());
                (None, glob.span().start().line)
            }
        };
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let is_glob = path.last().is_some_and(|last| last == "*");
        let name = if is_glob { None } else { name.or_else(|| path.last().cloned()) };
        self.source.modules[self.at.module].imports.push(Import { name, path: path.clone() });
        self.refer(path, line, is_re_export, false);
    }

    /// Reads the paths in the arguments of a macro or an attribute, which are only tokens.
    fn read_tokens(&mut self, tokens: &TokenStream) {
        let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
        let punct = |index: usize, c: char| matches!(tokens.get(index), Some(TokenTree::Punct(p)) if p.as_char() == c);
        let mut index = 0;
        while index < tokens.len() {
            match &tokens[index] {
                TokenTree::Group(group) => self.read_tokens(&group.stream()),
                TokenTree::Ident(first) => {
                    let is_field =
                        index > 0 && punct(index - 1, '.') && !(index > 1 && punct(index - 2, '.'));
                    let line = first.span().start().line;
                    let mut path = vec![first.to_string()];
                    while punct(index + 1, ':')
                        && punct(index + 2, ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(index + 3)
                    {
                        path.push(next.to_string());
                        index += 3;
                    }
                    let is_call = matches!(tokens.get(index + 1), Some(TokenTree::Group(_)));
                    if !is_field && (path.len() > 1 || is_call || is_type(&path[0])) {
                        let is_call = path.len() == 1 && !is_type(&path[0]);
                        self.refer(path, line, false, is_call);
                    }
                }
                _ => {}
            }
            index += 1;
        }
    }

    fn read_feature(&mut self, path: &syn::Path, tokens: &TokenStream) {
        if (path.is_ident("cfg") || path.is_ident("cfg_attr")) && tokens.to_string().contains("feature") {
            self.source.files[self.at.file].feature_lines.push(path.span().start().line);
        }
    }

    fn leave_out(&mut self, test: &Item) {
        let Item::Mod(module) = test else { return };
        if let Some((brace, _)) = &module.content {
            let first = module.attrs.first().map_or(module.span(), Spanned::span).start().line;
            self.source.files[self.at.file].lines -= brace.span.close().end().line + 1 - first;
        } else if let Some((name, directory)) = self.file_of(&module.ident.to_string()) {
            self.reached.insert(name);
            self.reached.extend(self.files.keys().filter(|name| name.starts_with(&directory)).cloned());
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            return self.leave_out(item);
        }
        if let Some(name) = name_of(item) {
            self.source.modules[self.at.module].items.insert(name);
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        item.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        let name = item.ident.to_string();
        let parent = self.at.module;
        let mut path = self.source.modules[parent].path.clone();
        path.push(name.clone());
        let child = if let Some((_, items)) = &item.content {
            let child = self.add_module(path, self.at.file, Some(parent));
            let at =
                At { module: child, directory: format!("{}{name}/", self.at.directory), ..self.at.clone() };
            let outer = std::mem::replace(&mut self.at, at);
            for item in items {
                self.visit_item(item);
            }
            self.at = outer;
            child
        } else if let Some((file, directory)) = self.file_of(&name) {
            self.read_file(&file, directory, path, Some(parent))
        } else {
            let file = &self.source.files[self.at.file].name;
            self.failure =
                Some(format!("{file}:{}: there is no file of mod {name}", item.span().start().line));
            return;
        };
        self.source.modules[parent].children.push((name, child));
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let before = if item.leading_colon.is_some() { vec!["::".to_owned()] } else { Vec::new() };
        self.read_use(&item.tree, &before, !matches!(item.vis, Visibility::Inherited));
    }

    // `pub(crate)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_some() {
            names.insert(0, "::".to_owned());
        }
        // A single name in lower case is a local variable, or a call, which is read elsewhere.
        if names.len() > 1 || is_type(&names[0]) {
            self.refer(names, path.span().start().line, false, false);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(function) = &*call.func
            && let Some(name) = function.path.get_ident()
        {
            self.refer(vec![name.to_string()], name.span().start().line, false, true);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, it: &'ast syn::Macro) {
        self.read_feature(&it.path, &it.tokens);
        self.visit_path(&it.path);
        self.read_tokens(&it.tokens);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.read_feature(&list.path, &list.tokens);
            self.read_tokens(&list.tokens);
        }
        self.visit_path(attribute.path());
    }
}

fn is_type(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || matches!(&attribute.meta, Meta::List(list) if list.path.is_ident("cfg") && {
                let condition = list.tokens.to_string();
                condition == "test" || condition.starts_with("all (test")
            })
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Macro(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Union(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Macro(it) => it.ident.as_ref()?,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::Type(it) => &it.ident,
        Item::Union(it) => &it.ident,
        _ => return None,
    };
    Some(name.to_string())
}
