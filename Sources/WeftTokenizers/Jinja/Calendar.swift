// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension Jinja {
  /// A point in time in the local time zone, spelled by C's `strftime`; now when `secondsSinceEpoch` is nil.
  ///
  /// - Returns: nil when the text would be longer than 4096 bytes.
  static func calendarText(_ format: String, secondsSinceEpoch: Int?) -> String? {
    guard !format.isEmpty else { return "" }
    guard format.utf8.count <= 1024 else { return nil }
    var seconds = secondsSinceEpoch ?? time(nil)
    var parts = tm()
    guard localtime_r(&seconds, &parts) != nil else { return nil }
    // A format such as "%Z" may have an empty text, which strftime's count cannot tell from a full buffer: a mark makes it longer.
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = strftime(&buffer, buffer.count, format + "|", &parts)
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<(count - 1)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
