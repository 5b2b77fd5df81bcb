// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The only owner of bytes: a read-only file mapping, or 64-byte aligned memory that belongs to this object.
///
/// Everything else (`Tensor`, `PackedMatrix`) borrows from a `Storage` and keeps it alive.
/// Mapped bytes are read-only: writing through `bytes` of a mapping faults.
package final class Storage: @unchecked Sendable {
  /// The bytes; valid for the lifetime of this object.
  package let bytes: UnsafeMutableRawBufferPointer
  private enum Origin { case file, pages, heap }
  private let origin: Origin
  /// Above this, memory comes in pages of its own: zeroed and given by the system when first written. Below, from the heap:
  /// a process may have only so many mappings, and adapters are many small tensors.
  private static let pagesFrom = 1 << 20

  /// The start of the bytes.
  package var base: UnsafeMutableRawPointer { bytes.baseAddress! }

  /// Maps the whole file at `path` read-only. An empty file is an error: it holds nothing that could be mapped.
  package init(mapping path: String) throws(StorageError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .cannotOpen(path: path, reason: String(cString: strerror(errno))) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw .cannotOpen(path: path, reason: String(cString: strerror(errno)))
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .cannotOpen(path: path, reason: "not a regular file") }
    guard status.st_size > 0 else { throw .cannotOpen(path: path, reason: "the file is empty") }
    let count = Int(status.st_size)
    guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw .cannotOpen(path: path, reason: String(cString: strerror(errno)))
    }
    bytes = UnsafeMutableRawBufferPointer(start: address, count: count)
    origin = .file
  }

  /// Reserves `byteCount` zeroed bytes, aligned to 64 bytes.
  package convenience init(byteCount: Int) throws(StorageError) {
    try self.init(unwritten: byteCount)
    // Pages come from the system as zeros.
    if origin == .heap { memset(base, 0, byteCount) }
  }

  /// Reserves `byteCount` bytes, aligned to 64 bytes, with anything in them: for callers that write them all.
  package init(unwritten byteCount: Int) throws(StorageError) {
    guard byteCount >= 0 else { throw .outOfMemory(bytes: byteCount) }
    var address: UnsafeMutableRawPointer?
    if byteCount >= Storage.pagesFrom {
      address = Storage.pages(byteCount)
    } else if posix_memalign(&address, 64, max(byteCount, 1)) != 0 {
      address = nil
    }
    guard let address else { throw .outOfMemory(bytes: byteCount) }
    bytes = UnsafeMutableRawBufferPointer(start: address, count: byteCount)
    origin = byteCount >= Storage.pagesFrom ? .pages : .heap
  }

  /// Memory from the system that begins with a large page, where it is as large: many small ones cost a lookup each.
  private static func pages(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    let large = 2 << 20
    let slack = byteCount >= large ? large : 0
    let (length, overflow) = byteCount.addingReportingOverflow(slack)
    guard !overflow, let start = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      start != MAP_FAILED
    else { return nil }
    guard slack > 0 else { return start }
    let address = UnsafeMutableRawPointer(bitPattern: (UInt(bitPattern: start) + UInt(large) - 1) & ~(UInt(large) - 1))
    guard let address else { return start }
    let (before, end) = (
      address - start, (byteCount + ProcessMemory.pageBytes - 1) / ProcessMemory.pageBytes * ProcessMemory.pageBytes
    )
    if before > 0 { munmap(start, before) }
    if before + end < length { munmap(address + end, length - before - end) }
    madvise(address, byteCount, MADV_HUGEPAGE)
    return address
  }

  /// Memory of its own with a copy of these bytes, aligned to 64 bytes.
  package convenience init(copying source: UnsafeRawBufferPointer) throws(StorageError) {
    try self.init(unwritten: source.count)
    if source.count > 0 { bytes.copyMemory(from: source) }
  }

  deinit {
    switch origin {
    case .file, .pages: munmap(bytes.baseAddress, bytes.count)
    case .heap: free(bytes.baseAddress)
    }
  }

  /// Takes the memory from the system now rather than when it is first written: what is reserved is then there. For memory that
  /// nobody has written yet.
  package func commit() throws(StorageError) {
    guard origin == .pages else { return }
    // MADV_POPULATE_WRITE, since Linux 5.14.
    guard madvise(bytes.baseAddress, bytes.count, 23) != 0 else { return }
    guard errno == EINVAL else { throw .outOfMemory(bytes: bytes.count) }
    for offset in stride(from: 0, to: bytes.count, by: ProcessMemory.pageBytes) { bytes[offset] = 0 }
  }

  /// Brings a part of a mapped file into memory, so that reading it later waits for no disk. No effect on owned memory.
  package func fetch(_ range: Range<Int>) {
    guard origin == .file, !range.isEmpty else { return }
    let begin = range.lowerBound / ProcessMemory.pageBytes * ProcessMemory.pageBytes
    // MADV_POPULATE_READ, since Linux 5.14. Elsewhere pages come when they are read.
    madvise(base + begin, range.upperBound - begin, 22)
  }

  /// Bytes that `byteCount` bytes of owned memory take in the process: whole pages where they come in pages.
  package static func residentBytes(_ byteCount: Int) -> Int {
    guard byteCount >= pagesFrom else { return byteCount }
    return (byteCount + ProcessMemory.pageBytes - 1) / ProcessMemory.pageBytes * ProcessMemory.pageBytes
  }

  /// Tells the system that the mapped pages will not be needed soon (after packing). No effect on owned memory.
  package func releasePages() {
    if origin == .file { madvise(bytes.baseAddress, bytes.count, MADV_DONTNEED) }
  }
}

/// Memory or a file could not be had.
package enum StorageError: Error, Equatable, Sendable, CustomStringConvertible {
  case cannotOpen(path: String, reason: String)
  case outOfMemory(bytes: Int)

  package var description: String {
    switch self {
    case .cannotOpen(let path, let reason): "cannot open \(path): \(reason)"
    case .outOfMemory(let bytes): "cannot reserve \(bytes) bytes of memory"
    }
  }
}
