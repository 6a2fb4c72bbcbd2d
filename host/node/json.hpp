// SPDX-License-Identifier: Apache-2.0
// Owns reading JSON files (genesis, configuration, test fixtures) with Boost.JSON.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::node {

/// The whole file as text; fails with its path and the system's reason.
Result<std::string> read_file(const std::string& path);
/// Parses strict JSON; the error names `origin` and the byte offset.
Result<boost::json::value> parse_json(std::string_view text, std::string_view origin);
Result<boost::json::value> read_json_file(const std::string& path);

/// The member, or null when absent or when `object` is no object.
const boost::json::value* find(const boost::json::value& object, std::string_view key);
/// A number as JSON integer, "0x.." or decimal text.
Result<U256> json_u256(const boost::json::value& v, std::string_view what);
Result<uint64_t> json_u64(const boost::json::value& v, std::string_view what);
Result<Bytes> json_bytes(const boost::json::value& v, std::string_view what);
Result<Address> json_address(const boost::json::value& v, std::string_view what);
/// 32 bytes; shorter hex is taken as a number.
Result<Hash256> json_hash(const boost::json::value& v, std::string_view what);

}  // namespace millrace::node
