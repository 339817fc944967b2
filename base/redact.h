// Secrets and the rows of an application must not leave a host in a text: they are hidden here. Pure.
//
// Tools print both: a password in a URL, the row that violates a constraint. Whatever text of a tool is
// journalled, sent or logged passes through here first. The scanners go once from left to right, so the cost
// is linear in the text, whatever it holds; and where an end is doubtful, too much is hidden rather than too
// little. The names of tables, columns, constraints and users stay: they are what the reader needs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace salvor {

// Text without secrets and rows. Control characters other than tab and newline become '?', so that no text
// can fool a terminal. `bytes_looked_at`, when given, grows by the number of bytes looked at, again and again
// counted: tests show by it that the cost is linear.
std::string RedactText(std::string_view text, size_t* bytes_looked_at = nullptr);

// The same of one line of a log: newlines become '?', too, and the line is cut to 4 KiB (after what is to be
// hidden was hidden: half a key protects no value).
std::string Redact(std::string_view line);

// A text from outside as it may be journalled, sent or kept: valid UTF-8, without secrets and rows, at most `most`
// bytes.
std::string ReportableText(std::string_view text, size_t most);

// The text without passwords in URLs, values of keys, flags and headers that sound like secrets (KEY=value, "key":
// "value", --key value, Authorization: …), SQL passwords, password hashes and private keys. Each becomes "***".
std::string WithoutSecrets(std::string_view text, size_t* bytes_looked_at = nullptr);

// The text without the values that PostgreSQL quotes in its messages: "Failing row contains (…)", "Key (a)=(…) already
// exists", "COPY t, line 3, column c: …", "invalid input syntax for type integer: …" and their kin. Knows the
// English messages; a server that speaks another language is asked for English where the role may.
std::string WithoutRows(std::string_view text, size_t* bytes_looked_at = nullptr);

}  // namespace salvor
