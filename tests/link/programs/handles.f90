!> What handles, arrays and errors are in Fortran: handles MODEL. Prints what is not as it should be.
program handles
   use flashschnet
   use, intrinsic :: iso_c_binding, only: c_loc, c_ptr
   use, intrinsic :: iso_fortran_env, only: int8, int32, int64, real64
   implicit none
   integer :: failures = 0
   character(1000) :: path
   ! Rock salt of one cell, a little out of order.
   real(real64), parameter :: edge = 5.6_real64, salt(3, 8) = reshape([real(real64) :: &
      0.1, 0, 0, 0, 2.8, 2.85, 2.8, 0.05, 2.8, 2.8, 2.8, 0, 2.8, 0, 0, 0, 2.8, -0.1, 0, 0.1, 2.8, 2.8, 2.8, 2.7], [3, 8])
   integer(int32), parameter :: ions(8) = [11, 11, 11, 11, 17, 17, 17, 17]
   real(real64), parameter :: cell(3, 3) = reshape([edge, 0._real64, 0._real64, 0._real64, edge, 0._real64, 0._real64, &
      0._real64, edge], [3, 3])
   call get_command_argument(1, path)
   call models()
   call potentials()
   call shapes()
   call batches()
   call lists()
   call resident()
   if (failures > 0) error stop 1

contains

   subroutine require(holds, what)
      logical, intent(in) :: holds
      character(*), intent(in) :: what
      if (holds) return
      print '(2a)', 'NOT TRUE: ', what
      failures = failures + 1
   end subroutine

   subroutine refused(stat, errmsg, status, text)
      integer, intent(in) :: stat, status
      character(:), allocatable, intent(inout) :: errmsg
      character(*), intent(in) :: text
      call require(stat == status, 'status of: '//text)
      if (.not. allocated(errmsg)) then
         call require(.false., 'a text for: '//text)
      else
         call require(errmsg == text, text//' -- but it was -- '//errmsg)
         deallocate (errmsg)
      end if
   end subroutine

   subroutine models()
      type(fsn_model) :: model, other
      type(fsn_model_info) :: info
      type(fsn_type) :: kind
      character(:), allocatable :: errmsg
      integer(int8), allocatable :: bytes(:)
      integer :: stat, unit
      integer(int64) :: length
      call model%get_info(info, stat, errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: model is a null pointer')
      call require(model%description() == '', 'no model has no description')
      call model%load(path)
      call model%get_info(info)
      call require(info%blocks == 3 .and. info%types == 2 .and. info%length_unit == 'Angstrom', 'the model has information')
      call model%get_type(2, kind)
      call require(kind%index == 17 .and. kind%name == 'Cl' .and. kind%mass > 35, 'chlorine is its second type')
      call model%get_type(3, kind, stat, errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: there is no type number 2, the model has 2')
      call model%load('nowhere', stat, errmsg)
      call refused(stat, errmsg, fsn_io_error, 'cannot read nowhere: No such file or directory (os error 2)')
      other = model
      call model%free()
      call model%free()
      call other%get_info(info, stat, errmsg)
      call require(stat == fsn_success .and. .not. allocated(errmsg), 'a second handle keeps the model')
      other = other
      call other%get_info(info, stat)
      call require(stat == fsn_success, 'a handle may be given to itself')

      inquire (file=trim(path), size=length)
      allocate (bytes(length))
      open (newunit=unit, file=trim(path), access='stream', form='unformatted', status='old', action='read')
      read (unit) bytes
      close (unit)
      call model%load_buffer('m', bytes)
      call require(model%description() == other%description(), 'bytes are the same model')
      call model%load_buffer('m', bytes(:0), stat, errmsg)
      call refused(stat, errmsg, fsn_model_error, 'm: container: is not a whole safetensors file: it has 0 bytes')
      call require(index(fsn_version(), '.') > 0 .and. fsn_abi_version() == 1, 'the library has versions')
   end subroutine

   subroutine potentials()
      type(fsn_model) :: model
      type(fsn_potential), allocatable :: several(:)
      type(fsn_potential) :: potential
      type(fsn_potential_info) :: info
      character(:), allocatable :: errmsg
      integer :: stat
      call potential%create(model, stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: model is a null pointer')
      call model%load(path)
      call potential%create(model, threads=0, stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: threads is "0", must be a number from 1 on')
      call potential%create(model, filters='coffee', stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, &
         'invalid argument: filters is "coffee", must be one of auto, exact, table')
      allocate (several(2))
      call several(1)%create(model, 'cpu', 'double', 'exact', 1, 0.25_real64)
      several(2) = several(1)
      call several(1)%free()
      call several(2)%get_info(info)
      call require(info%device == 'cpu' .and. info%precision == 'double' .and. info%filters == 'exact' .and. &
         info%threads == 1 .and. info%skin == 0.25_real64, 'a potential says how it computes')
   end subroutine

   !> A potential for the tests below, whose model is gone.
   subroutine prepare(potential)
      type(fsn_potential), intent(inout) :: potential
      type(fsn_model) :: model
      call model%load(path)
      call potential%create(model, precision='double')
   end subroutine

   subroutine shapes()
      type(fsn_potential) :: potential
      real(real64) :: energy, again, forces(3, 8), few(3, 7), virial(3, 3), strided(6, 8), positions(3, 16)
      real(real64), allocatable :: none(:, :)
      integer :: stat
      character(:), allocatable :: errmsg
      call prepare(potential)
      call potential%compute(salt, ions, cell, energy=energy, forces=forces, virial=virial)
      again = 7
      call potential%compute(salt, ions, cell, energy=again, forces=few, stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: forces has shape (3, 7), must be (3, 8)')
      call potential%compute(salt, ions, cell(:, :2), energy=again, stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: cell has shape (3, 2), must be (3, 3)')
      call potential%compute(salt, ions(:7), cell, energy=again, stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: types has shape (7), must be (8)')
      call potential%compute(transpose(salt), ions, cell, energy=again, stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: positions has shape (8, 3), must be (3, 3)')
      call potential%compute(salt, ions, cell, [.true.], energy=again, stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: periodic has shape (1), must be (3)')
      call potential%compute(salt, ions, cell, excluded=reshape([1, 9], [2, 1]), energy=again, stat=stat, errmsg=errmsg)
      call require(stat == fsn_invalid_argument, 'there is no ninth atom to exclude')
      call require(again == 7, 'what is refused writes no results')
      ! What is not allocated is not wanted, and not everything need lie side by side.
      positions = 0
      positions(:, ::2) = salt
      strided = 1
      call potential%compute(positions(:, ::2), ions, cell, energy=again, forces=strided(::2, :))
      call require(again == energy .and. all(strided(::2, :) == forces) .and. all(strided(2::2, :) == 1), 'strides')
      call potential%compute(salt, ions, cell, energy=again, forces=none)
      call potential%compute(salt, ions, cell, excluded=reshape([integer(int32) ::], [2, 0]), energy=again)
      call require(again == energy, 'no pairs are excluded')
      call potential%compute(salt, ions, cell, excluded=reshape([1, 5], [2, 1]), energy=again)
      call require(again /= energy, 'a pair is')
   end subroutine

   subroutine batches()
      type(fsn_potential) :: potential
      real(real64) :: energy, energies(2), virial(3, 3), virials(3, 3, 2), forces(3, 8), each(8), shares(3, 3, 8), cells(3, 3, 2)
      integer :: stat
      character(:), allocatable :: errmsg
      call prepare(potential)
      cells = spread(cell, 3, 2)
      call potential%compute(salt, ions, cell, energy=energy, forces=forces, virial=virial, atom_energies=each, &
         atom_virials=shares)
      call require(abs(sum(each) - energy) < 1e-10_real64, 'energies of atoms add up')
      call require(all(abs(sum(shares, 3) - virial) < 1e-10_real64), 'virials of atoms add up')
      block
         real(real64) :: both(3, 16)
         call potential%compute_batch([8, 8], reshape(salt, [3, 16], pad=salt), [ions, ions], cells, energies=energies, &
            forces=both, virials=virials)
         call require(all(energies == energy) .and. all(both(:, 9:) == forces), 'two structures are computed as one')
         call require(all(virials(:, :, 2) == virial), 'with their virials')
         call potential%compute_batch([8, 9], reshape(salt, [3, 16], pad=salt), [ions, ions], cells, energies=energies, &
            stat=stat, errmsg=errmsg)
         call require(stat == fsn_invalid_argument, 'counts that do not add up are refused')
      end block
   end subroutine

   !> What there is to see without a GPU of arrays that are on one.
   subroutine resident()
      type(fsn_potential) :: potential
      real(real64), target :: positions(3, 8), energy(1)
      integer(int32), target :: types(8)
      type(c_ptr) :: places(3)
      integer :: stat
      character(:), allocatable :: errmsg
      character(*), parameter :: text = 'not supported: the potential is not on a GPU: make it with device cuda'
      positions = salt
      types = ions
      energy = 7
      places = [c_loc(positions), c_loc(types), c_loc(energy)]
      call potential%enqueue(8, places(1), places(2), energies=places(3), stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: potential is a null pointer')
      call potential%check(stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: potential is a null pointer')
      call prepare(potential)
      call potential%enqueue(8, places(1), places(2), energies=places(3), excluded_pairs=0, stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_unsupported, text)
      call potential%check(stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_unsupported, text)
      call potential%enqueue(-1, places(1), places(2), energies=places(3), stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: atoms is -1, must not be negative')
      call potential%enqueue(8, places(1), places(2), 0, energies=places(3), stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: structures is 0, must be at least 1')
      call require(energy(1) == 7, 'what is not on a GPU is not written')
   end subroutine

   !> The host's list, of a molecule and with ghosts that are copies of atoms of ours.
   subroutine lists()
      type(fsn_potential) :: potential
      type(fsn_neighbor_list) :: list
      real(real64) :: energy, found, forces(3, 2), ours(3, 2), each(2)
      real(real64), parameter :: pair(3, 2) = reshape([real(real64) :: 0, 0, 0, 2.7, 0, 0], [3, 2])
      integer :: stat
      character(:), allocatable :: errmsg
      call prepare(potential)
      call list%find(salt, 5.0_real64, cell)
      call require(list%first(1) == 1 .and. list%first(9) == size(list%neighbors) + 1, 'rows begin at 1')
      call require(minval(list%neighbors) == 1 .and. maxval(list%neighbors) == 8, 'and so do atoms')
      call list%find(salt, -1.0_real64, cell, stat=stat, errmsg=errmsg)
      call require(stat == fsn_invalid_argument .and. size(list%first) == 9, 'a bad cutoff leaves the list alone')
      call potential%compute(pair, [11, 17], energy=energy, forces=forces)
      call potential%set_neighbors([1, 2, 3], [2, 1])
      call potential%compute_domain(pair, [11, 17], energy=found, forces=ours, atom_energies=each)
      call require(abs(found - energy) < 1e-11_real64 .and. all(abs(ours - forces) < 1e-11_real64), 'a list of our own')
      call require(abs(sum(each) - found) < 1e-11_real64, 'with energies of its atoms')
      call potential%compute_domain(pair, [11, 17], atom_energies=each(:1), stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: atom_energies has shape (1), must be (2)')
      call potential%set_neighbors([1, 2, 4], [2, 1], stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, 'invalid argument: neighbors has shape (2), must be (3)')
      call potential%set_neighbors([integer ::], [2, 1], stat=stat, errmsg=errmsg)
      call refused(stat, errmsg, fsn_invalid_argument, &
         'invalid argument: first has no elements, must have one more than there are owned atoms')
      call potential%set_neighbors([1, 2, 3], [2, 3], stat=stat, errmsg=errmsg)
      call require(stat == fsn_invalid_argument, 'there is no third atom')
      ! An ion of a chain along x, with an image on either side that belongs to it.
      call potential%set_neighbors([1, 3], [2, 3], owners=[1, 1, 1])
      call potential%compute_domain(reshape([real(real64) :: 0, 0, 0, 3, 0, 0, -3, 0, 0], [3, 3]), [11, 11, 11], energy=found)
      call potential%compute(reshape([real(real64) :: 0, 0, 0], [3, 1]), [11], &
         reshape([real(real64) :: 3, 0, 0, 0, 9, 0, 0, 0, 9], [3, 3]), [.true., .false., .false.], energy=energy)
      call require(abs(found - energy) < 1e-11_real64, 'ghosts with owners')
   end subroutine
end program
