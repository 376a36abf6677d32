"""Between OpenAI's chat format and other vendors' own, both ways, whole and streamed.

Pure: plain values in, plain values out. What a vendor's format can't carry is refused with the field's name;
the few things that are left out, or that come back in another form, are listed in docs/translation.md, and
tests hold that page to this package. Modules at this level are shared by all vendors, each of which has a
package of its own.
"""
