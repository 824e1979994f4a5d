//! The macro behind views of messages that are mostly scalars: one walk fills a struct, the last occurrence wins.

/// Declares a view struct with `parse`. Kinds: `bytes`, `varint_i32`, `varint_u32`, `varint_bool`, `sint32`, `fixed32`,
/// `fixed64`, `double`, `opt_double`.
macro_rules! flat_view {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ident = $tag:path,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a> {
            /// The message as it stands on the wire.
            pub bytes: &'a [u8],
            $(pub $field: flat_view!(@type $kind, 'a),)*
        }

        impl<'a> $name<'a> {
            /// Reads the scalars of the message in one walk. Unknown fields and foreign wire types are passed over.
            #[inline]
            pub fn parse(bytes: &'a [u8]) -> Result<Self, $crate::error::Error> {
                let mut view = Self::unread(bytes);
                let mut reader = $crate::wire::Reader::new(bytes);
                while let Some(field) = reader.field()? {
                    view.take(&field);
                }
                Ok(view)
            }

            /// The message with none of its scalars read: for walks that look at other fields, too, and hand over each field.
            #[inline]
            pub fn unread(bytes: &'a [u8]) -> Self {
                $name { bytes, $($field: Default::default(),)* }
            }

            /// Reads one field of the message, if it is a scalar. Of several occurrences the last one counts.
            #[inline]
            pub fn take(&mut self, field: &$crate::wire::Field<'a>) {
                match (field.number, field.value) {
                    $(($tag, flat_view!(@pattern $kind, value)) => self.$field = flat_view!(@convert $kind, value),)*
                    _ => {}
                }
            }
        }
    };
    (@type bytes, $l:lifetime) => { &$l [u8] };
    (@type varint_i32, $l:lifetime) => { i32 };
    (@type varint_u32, $l:lifetime) => { u32 };
    (@type varint_bool, $l:lifetime) => { bool };
    (@type sint32, $l:lifetime) => { i32 };
    (@type fixed32, $l:lifetime) => { u32 };
    (@type fixed64, $l:lifetime) => { u64 };
    (@type double, $l:lifetime) => { f64 };
    (@type opt_double, $l:lifetime) => { Option<f64> };
    (@pattern bytes, $v:ident) => { $crate::wire::Value::Len($v) };
    (@pattern varint_i32, $v:ident) => { $crate::wire::Value::Varint($v) };
    (@pattern varint_u32, $v:ident) => { $crate::wire::Value::Varint($v) };
    (@pattern varint_bool, $v:ident) => { $crate::wire::Value::Varint($v) };
    (@pattern sint32, $v:ident) => { $crate::wire::Value::Varint($v) };
    (@pattern fixed32, $v:ident) => { $crate::wire::Value::Fixed32($v) };
    (@pattern fixed64, $v:ident) => { $crate::wire::Value::Fixed64($v) };
    (@pattern double, $v:ident) => { $crate::wire::Value::Fixed64($v) };
    (@pattern opt_double, $v:ident) => { $crate::wire::Value::Fixed64($v) };
    (@convert bytes, $v:ident) => { $v };
    (@convert varint_i32, $v:ident) => { $v as i32 };
    (@convert varint_u32, $v:ident) => { $v as u32 };
    (@convert varint_bool, $v:ident) => { $v != 0 };
    (@convert sint32, $v:ident) => { $crate::wire::zigzag($v & 0xffff_ffff) as i32 };
    (@convert fixed32, $v:ident) => { $v };
    (@convert fixed64, $v:ident) => { $v };
    (@convert double, $v:ident) => { f64::from_bits($v) };
    (@convert opt_double, $v:ident) => { Some(f64::from_bits($v)) };
}
pub(crate) use flat_view;
