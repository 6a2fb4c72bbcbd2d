// SPDX-License-Identifier: Apache-2.0
// Owns how an errno value becomes an Error of the file interface.
#pragma once

#include <string>
#include <string_view>

#include "host/base/error.hpp"

namespace millrace::storage::detail {

/// "`what` `path`: reason; remedy", with the code that FileSystem documents.
std::unexpected<Error> system_failure(int error, std::string_view what, const std::string& path);

}  // namespace millrace::storage::detail
