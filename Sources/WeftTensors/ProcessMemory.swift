// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels
internal import Glibc

/// What this process has in memory, and what the system can still give it, as Linux tells.
package enum ProcessMemory {
  /// Bytes of this process in memory: its own, and the pages of files that it has mapped. nil where the system does not say.
  package static var residentBytes: Int? {
    guard let fields = text("/proc/self/statm")?.split(separator: " "), fields.count > 1, let pages = Int(fields[1]) else {
      return nil
    }
    return pages * pageBytes
  }

  /// Bytes that this process may have in memory without pushing others out: what it has, and what is available; not more than
  /// its control group allows. nil where the system does not say.
  package static var limitBytes: Int? {
    guard let resident = residentBytes, let available = availableBytes else { return nil }
    guard let group = text("/sys/fs/cgroup/memory.max").flatMap({ Int($0.prefix { $0.isNumber }) }) else {
      return resident + available
    }
    return min(resident + available, group)
  }

  /// Bytes of the heap that are in use.
  package static var heapBytes: Int { Int(weft_heap_bytes()) }

  /// Gives the free parts of the heap back to the system.
  package static func trimHeap() { weft_heap_trim() }

  /// Bytes in a page.
  package static let pageBytes = sysconf(Int32(_SC_PAGESIZE))

  private static var availableBytes: Int? {
    let line = text("/proc/meminfo")?.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
    return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1024 }
  }

  /// The beginning of a small file of the system.
  private static func text(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(descriptor, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
  }
}
