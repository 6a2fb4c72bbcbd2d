// SPDX-License-Identifier: Apache-2.0
// Owns writing the files that a bench command was asked for.
#pragma once

#include <cstdio>
#include <span>
#include <string>

namespace millrace::node {

/// Whether each file can be opened for writing, known before the run and not after it; nothing in
/// them is changed. Empty names are left out. The reason of a failure is told on `progress`.
bool files_open(std::span<const std::string> paths, std::FILE* progress);
/// False, after telling on `progress` that the file cannot be written, with the system's reason.
bool refuse_file(const std::string& path, std::FILE* progress);
/// Replaces the file's content; true for an empty name. The reason of a failure is told on
/// `progress`.
bool write_text(const std::string& path, const std::string& text, std::FILE* progress);

}  // namespace millrace::node
