!> What compute.c does, in Fortran; see there.
module ghosts_of_a_cell
   use flashschnet, only: fsn_exchange, fsn_neighbor_list, fsn_potential
   use, intrinsic :: iso_fortran_env, only: int32, real64
   implicit none
   private
   public :: ghosts

   !> Every image that is a neighbour of an atom as an atom of its own.
   type, extends(fsn_exchange) :: ghosts
      integer :: owned = 0
      integer, allocatable :: owners(:)
      logical :: broken = .false.
   contains
      procedure :: set
      procedure :: forward
   end type

contains

   subroutine set(self, potential, positions, types, cell, periodic, cutoff)
      class(ghosts), intent(inout) :: self
      type(fsn_potential), intent(inout) :: potential
      real(real64), allocatable, intent(inout) :: positions(:, :)
      integer(int32), allocatable, intent(inout) :: types(:)
      real(real64), intent(in) :: cell(3, 3), cutoff
      logical, intent(in) :: periodic(3)
      type(fsn_neighbor_list) :: list
      integer(int32), allocatable :: neighbors(:)
      integer :: i, pair, k, n, owner, most
      integer, allocatable :: shifts(:, :), owners(:)
      if (any(periodic)) then
         call list%find(positions, cutoff, cell, periodic)
      else
         call list%find(positions, cutoff)
      end if
      self%owned = size(types)
      n = self%owned
      most = n + size(list%neighbors)
      allocate (shifts(3, most), source=0)
      allocate (owners(most), source=[(i, i=1, most)])
      allocate (neighbors(size(list%neighbors)))
      do pair = 1, size(neighbors)
         owner = list%neighbors(pair)
         do k = 1, n
            if (owners(k) == owner .and. all(shifts(:, k) == list%shifts(:, pair))) exit
         end do
         neighbors(pair) = k
         if (k <= n) cycle
         n = k
         owners(k) = owner
         shifts(:, k) = list%shifts(:, pair)
      end do
      self%owners = owners(:n)
      types = types(self%owners)
      positions = positions(:, self%owners) + matmul(cell, real(shifts(:, :n), real64))
      call potential%set_neighbors(list%first, neighbors, n)
   end subroutine

   subroutine forward(self, rows, stat)
      class(ghosts), intent(inout) :: self
      real(real64), intent(inout), contiguous :: rows(:, :)
      integer, intent(out) :: stat
      integer :: k
      stat = merge(1, 0, self%broken)
      do k = self%owned + 1, size(rows, 2)
         rows(:, k) = rows(:, self%owners(k))
      end do
   end subroutine
end module

program compute
   implicit none
   logical :: any_refused = .false.
   call run()
   if (any_refused) stop 3, quiet=.true.

contains

   ! Variables of a program itself are never given back.
   subroutine run()
      use flashschnet
      use ghosts_of_a_cell, only: ghosts
      use, intrinsic :: iso_fortran_env, only: int32, real64
      real(real64), allocatable :: positions(:, :), forces(:, :)
      integer(int32), allocatable :: types(:)
      real(real64) :: cell(3, 3), energy, virial(3, 3), skin
      logical :: periodic(3)
      integer :: unit, atoms, flags(3), i, k, at, stat, threads
      character(1000) :: how, path, word
      character(:), allocatable :: errmsg, device, precision, filters
      type(fsn_model) :: model
      type(fsn_model_info) :: info
      type(fsn_potential) :: potential
      type(ghosts) :: images
      ! What is not allocated is not present.
      real(real64), allocatable :: chosen_skin
      integer, allocatable :: chosen_threads

      allocate (character(0) :: errmsg)
      call get_command_argument(1, how)
      call get_command_argument(3, path)
      open (newunit=unit, file=trim(path), status='old', action='read')
      read (unit, *) atoms, flags
      read (unit, *) cell
      periodic = flags /= 0
      allocate (positions(3, atoms), types(atoms))
      do i = 1, atoms
         read (unit, *) types(i), positions(:, i)
      end do
      close (unit)
      do k = 4, command_argument_count()
         call get_command_argument(k, word)
         at = index(word, '=')
         select case (word(:at - 1))
         case ('device')
            device = trim(word(at + 1:))
         case ('precision')
            precision = trim(word(at + 1:))
         case ('filters')
            filters = trim(word(at + 1:))
         case ('threads')
            read (word(at + 1:), *) threads
            chosen_threads = threads
         case ('skin')
            read (word(at + 1:), *) skin
            chosen_skin = skin
         end select
      end do

      if (how /= 'unloaded') then
         call get_command_argument(2, path)
         call model%load(path, stat, errmsg)
         if (refused(stat, errmsg)) return
         call model%get_info(info, stat, errmsg)
         if (refused(stat, errmsg)) return
      end if
      if (how /= 'unmade') then
         call potential%create(model, device, precision, filters, chosen_threads, chosen_skin, &
            stat=stat, errmsg=errmsg)
         if (refused(stat, errmsg)) return
      end if
      call model%free()

      select case (how)
      case ('domain', 'broken', 'unset')
         images%broken = how == 'broken'
         if (how /= 'unset') call images%set(potential, positions, types, cell, periodic, info%cutoff)
         allocate (forces(3, size(types)))
         call potential%compute_domain(positions, types, images, energy, forces, virial, stat=stat, errmsg=errmsg)
         if (refused(stat, errmsg)) return
      case default
         allocate (forces(3, atoms))
         if (any(periodic)) then
            call potential%compute(positions, types, cell, periodic, energy=energy, forces=forces, virial=virial, &
               stat=stat, errmsg=errmsg)
         else
            call potential%compute(positions, types, energy=energy, forces=forces, virial=virial, stat=stat, errmsg=errmsg)
         end if
         if (refused(stat, errmsg)) return
      end select
      call potential%free()

      print '(es24.16e3)', energy, forces(:, :atoms), virial
   end subroutine

   logical function refused(stat, errmsg)
      integer, intent(in) :: stat
      character(*), intent(in) :: errmsg
      refused = stat /= 0
      if (refused) print '(i0, " ", a)', stat, errmsg
      any_refused = refused
   end function
end program
