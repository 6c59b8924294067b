//! Checks photo collections, `flags` and `geofence`: whether the columns they speak of are there and fit.

use super::super::mistake::shown;
use super::super::{Collection, Field, FieldType, MergeRule, photos};
use super::{Check, Column};

impl<'a> Check<'a> {
    pub(super) fn photos(&mut self, collection: &'a Collection) {
        if !collection.photos {
            return;
        }
        let name = collection.name.as_str();
        if collection.parent.is_none() && !self.places.is_broken(&["collections", name, "parent"]) {
            let at = ["collections", name, "photos"];
            let remedy = "declare `parent = { collection = …, field = … }`";
            self.wrong(&at, format!("`{name}` holds photos of nothing"), remedy);
        }
        for field in photos::fields() {
            let at = ["collections", name, "fields", field.name.as_str()];
            if self.places.has(&at) {
                let what = format!("every photo collection has a column {}", shown(&field.name));
                self.wrong(&at, what, "remove it: the columns of a photo are not declared");
            }
        }
        if collection.flags.is_some() {
            let at = ["collections", name, "flags"];
            self.wrong(&at, "a photo collection has its flags already", "remove them");
        }
    }

    pub(super) fn flags(&mut self, collection: &'a Collection) {
        let Some(flags) = &collection.flags else { return };
        let name = collection.name.as_str();
        let at = |key: &'static str| ["collections", name, "flags", key];
        if let Some(field) = self.flags_column(&at("field"), collection, &flags.field)
            && (field.kind != FieldType::Set || field.merge != MergeRule::Server)
        {
            let what = format!("`{}` cannot hold flags", flags.field);
            let remedy = "declare it as `{ type = \"set\", merge = \"server\" }`";
            self.wrong(&["collections", name, "fields", &flags.field], what, remedy);
        }
        let real = [FieldType::Real].as_slice();
        for column in flags.position.iter().flatten() {
            self.typed(&at("position"), collection, column, real);
        }
        for column in &flags.at {
            self.typed(&at("at"), collection, column, &[FieldType::Timestamp]);
        }
        let typed: [(_, _, &'static [FieldType]); 2] = [
            ("accuracy", &flags.accuracy, &[FieldType::Real]),
            ("mocked", &flags.mocked, &[FieldType::Boolean]),
        ];
        for (key, column, kinds) in typed {
            if let Some(column) = column {
                self.typed(&at(key), collection, column, kinds);
            }
        }
        let Some(place) = &flags.place else { return };
        let Some(field) = self.flags_column(&at("place"), collection, place) else { return };
        let target = field.references.as_deref();
        let home = target.and_then(|target| self.schema.collection(target));
        if home.is_none_or(|home| home.geofence.is_none()) {
            let what = format!("`{place}` refers to nothing that has a place");
            let remedy = "refer to a collection with a `geofence`, or give it one";
            self.wrong(&at("place"), what, remedy);
        }
    }

    pub(super) fn geofence(&mut self, collection: &'a Collection) {
        let Some(fence) = &collection.geofence else { return };
        let at = |key: &'static str| ["collections", &collection.name, "geofence", key];
        let columns: [(_, _, &'static [FieldType]); 3] = [
            ("latitude", &fence.latitude, &[FieldType::Real]),
            ("longitude", &fence.longitude, &[FieldType::Real]),
            ("radius_m", &fence.radius_m, &[FieldType::Integer, FieldType::Real]),
        ];
        for (key, column, kinds) in columns {
            self.typed(&at(key), collection, column, kinds);
        }
    }

    /// A column that has to be there, and of one of these types.
    fn typed(&mut self, at: &[&str], of: &'a Collection, name: &str, kinds: &[FieldType]) {
        let Some(field) = self.flags_column(at, of, name) else { return };
        if !kinds.contains(&field.kind) {
            let words: Vec<String> = kinds.iter().map(word).collect();
            let what = format!("`{name}` is of another type");
            self.wrong(at, what, format!("name a column of the type {}", words.join(" or ")));
        }
    }

    fn flags_column(&mut self, at: &[&str], of: &'a Collection, name: &str) -> Option<&'a Field> {
        match self.column(of, name) {
            Column::Field(field) => Some(field),
            Column::Broken => None,
            Column::Id | Column::Unknown => {
                self.unknown_column(at, of, name);
                None
            }
        }
    }
}

fn word(kind: &FieldType) -> String {
    format!("`{kind:?}`").to_lowercase()
}
